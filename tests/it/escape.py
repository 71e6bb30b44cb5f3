"""What a hostile command tries: one line for each attempt, `NAME done` or `NAME refused REASON`."""

import ctypes
import os
import platform
import socket
import sys

level, secret, outside, host, tcp, udp, path, abstract = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
numbers = {
    "x86_64": {"bpf": 321, "keyctl": 250, "perf_event_open": 298, "userfaultfd": 323, "clone": 56},
    "aarch64": {"bpf": 280, "keyctl": 219, "perf_event_open": 241, "userfaultfd": 282, "clone": 220},
}[platform.machine()]
numbers |= {"io_uring_setup": 425, "fsopen": 430, "clone3": 435}
PTRACE_TRACEME, PTRACE_SEIZE = 0, 0x4206
CLONE_NEWUSER, SIGCHLD, MSG_FASTOPEN, IPPROTO_MPTCP = 0x10000000, 17, 0x20000000, 262

# Held here, because the kernel writes to them.
parameters = ctypes.create_string_buffer(256)
tmpfs = ctypes.create_string_buffer(b"tmpfs")


def check(result):
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def call(name, *arguments):
    return check(libc.syscall(ctypes.c_long(numbers[name]), *[ctypes.c_ulong(argument) for argument in arguments]))


def read(name):
    with open(name, "rb") as file:
        assert file.read(1)


def link(make, name):
    make(secret, name)
    read(name)


def descriptors():
    for descriptor in range(3, 1024):
        try:
            os.fstat(descriptor)
        except OSError:
            continue
        return
    raise OSError(0, "none was inherited")


def connect(family, kind, address, protocol=0):
    with socket.socket(family, kind, protocol) as client:
        client.connect(address)
        client.send(b"x")


def fast_open():
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
        client.sendto(b"x", MSG_FASTOPEN, ("127.0.0.1", int(tcp)))


def clone():
    # The new process goes on behind this call like a forked one.
    if call("clone", CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0) == 0:
        os._exit(0)


def trace_host():
    # Unlike attaching, this does not stop the other process.
    check(libc.ptrace(PTRACE_SEIZE, int(host), None, None))


def trace_self():
    # In a process of its own: a traced one stops at every signal until its tracer, who knows nothing of it, lets it go on.
    child = os.fork()
    if child == 0:
        os._exit(0 if libc.ptrace(PTRACE_TRACEME, 0, None, None) == 0 else 1)
    if os.waitpid(child, 0)[1] != 0:
        raise OSError(1, "Operation not permitted")


def mount():
    if level == "none":
        raise OSError(0, "not tried: it might succeed, on the machine itself")
    check(libc.mount(b"none", b".", b"tmpfs", 0, None))


def read_memory():
    buffer = ctypes.create_string_buffer(8)
    vector = (ctypes.c_void_p * 2)(ctypes.addressof(buffer), 8)
    check(libc.process_vm_readv(os.getpid(), vector, 1, vector, 1, 0))


ATTEMPTS = {
    "read_secret": lambda: read(secret),
    "read_by_symbolic_link": lambda: link(os.symlink, "symbolic"),
    "read_by_hard_link": lambda: link(os.link, "hard"),
    "read_by_own_root": lambda: read(f"/proc/self/root{secret}"),
    "read_by_other_root": lambda: read(f"/proc/{host}/root{secret}"),
    "write_outside": lambda: open(f"{outside}/written", "w").close(),
    "remove_outside": lambda: os.unlink(f"{outside}/removable"),
    "inherit_descriptors": descriptors,
    "read_environment": lambda: read(f"/proc/{host}/environ"),
    "read_memory_file": lambda: open(f"/proc/{host}/mem", "rb").close(),
    "signal_host": lambda: os.kill(int(host), 0),
    "signal_parent": lambda: os.kill(os.getppid(), 0),
    "trace_host": trace_host,
    "connect_tcp": lambda: connect(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", int(tcp))),
    "connect_tcp_fast": fast_open,
    "connect_mptcp": lambda: connect(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", int(tcp)), IPPROTO_MPTCP),
    "send_udp": lambda: connect(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", int(udp))),
    "connect_unix_path": lambda: connect(socket.AF_UNIX, socket.SOCK_STREAM, path),
    "connect_unix_abstract": lambda: connect(socket.AF_UNIX, socket.SOCK_STREAM, b"\0" + abstract.encode()),
    "open_netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16).close(),
    "open_packets": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close(),
    "io_uring": lambda: call("io_uring_setup", 1, ctypes.addressof(parameters)),
    "trace_self": trace_self,
    "read_own_memory": read_memory,
    "unshare": lambda: check(libc.unshare(CLONE_NEWUSER)),
    "clone_namespace": clone,
    "clone3": lambda: call("clone3", 0, 0),
    "mount": mount,
    "fsopen": lambda: call("fsopen", ctypes.addressof(tmpfs), 0),
    "chroot": lambda: os.chroot("."),
    "bpf": lambda: call("bpf", 0, 0, 0),
    "keyctl": lambda: call("keyctl", 0, 0xFFFFFFFD, 1),
    "perf_event_open": lambda: call("perf_event_open", 0, 0, 0, 0, 0),
    "userfaultfd": lambda: call("userfaultfd", 1),
}

for name, attempt in ATTEMPTS.items():
    try:
        attempt()
    except OSError as error:
        print(name, "refused", error.strerror, flush=True)
    else:
        print(name, "done", flush=True)
