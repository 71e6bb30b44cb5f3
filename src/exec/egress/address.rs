//! Which addresses a name may lead to: those of the public internet, and others that are listed. Pure but for the look-up.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::lookup_host;

use super::pattern::{HostPattern, parse_address};

/// More addresses of one host are not tried.
const ADDRESSES_MAX: usize = 16;
/// Public by its number, and yet the one at which a cloud's machines ask for their own secrets.
const METADATA: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);

/// Where a host is, as far as one may go there: none when every address is refused.
pub(super) async fn find(host: &str, port: u16, allowed: &[HostPattern]) -> io::Result<Vec<SocketAddr>> {
    let found: Vec<SocketAddr> = match parse_address(host) {
        Some(address) => vec![SocketAddr::new(address, port)],
        None => lookup_host((host, port)).await?.take(ADDRESSES_MAX).collect(),
    };
    let listed = |address: &SocketAddr| allowed.iter().any(|pattern| pattern.lists(address.ip(), port));
    Ok(found.into_iter().filter(|address| public(address.ip()) || listed(address)).collect())
}

/// True for addresses that anybody can reach. What is not known to be public is not.
pub(super) fn public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => public_v4(address),
        IpAddr::V6(address) => public_v6(address),
    }
}

fn public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private() || address.is_loopback() || address.is_link_local() || address.is_documentation();
    // 0/8 is this machine, 100.64/10 carriers' own, 192.0.0/24 protocols, 192.88.99/24 an old relay, 198.18/15 measurements,
    // 224/4 groups, 240/4 nobody's.
    let reserved = a == 0 || a >= 224 || (a == 100 && (b & 0xc0) == 64) || (a == 198 && (b & 0xfe) == 18);
    let protocols = (a, b, c) == (192, 0, 0) || (a, b, c) == (192, 88, 99);
    !(special || reserved || protocols || address == METADATA)
}

fn public_v6(address: Ipv6Addr) -> bool {
    let part = address.segments();
    if let Some(inner) = address.to_ipv4_mapped() {
        return public_v4(inner);
    }
    let inner = |high: u16, low: u16| public_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match part {
        // Translated to IPv4 by the network.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => inner(high, low),
        // 6to4 carries an IPv4 address.
        [0x2002, high, low, ..] => inner(high, low),
        // Teredo, measurements, identifiers of hosts, documentation.
        [0x2001, second, ..] if second < 0x200 || second == 0xdb8 => false,
        [0x3fff, second, ..] if second < 0x1000 => false,
        // Only these are given out for use in public.
        [first, ..] => (first & 0xe000) == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_public_internet_are_public() {
        let check = |address: &str, expected| assert_eq!(public(address.parse().unwrap()), expected, "{address}");
        for address in
            ["1.1.1.1", "93.184.216.34", "172.32.0.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::1"]
        {
            check(address, true);
        }
        let v4 = ["0.0.0.0", "10.1.2.3", "100.100.100.200", "127.0.0.1", "127.9.9.9", "169.254.169.254", "172.16.0.1", "192.0.0.8"];
        let more = ["192.168.1.1", "198.18.0.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "168.63.129.16"];
        let v6 = ["::", "::1", "::ffff:127.0.0.1", "::127.0.0.1", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "64:ff9b::7f00:1"];
        let rare = ["64:ff9b:1::1", "2002:7f00:1::1", "2001::1", "2001:db8::1", "3fff::1", "100::1", "fec0::1", "5f00::1"];
        for address in v4.into_iter().chain(more).chain(v6).chain(rare) {
            check(address, false);
        }
    }

    #[tokio::test]
    async fn a_name_leads_to_this_machine_only_where_the_address_is_listed() {
        let patterns = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<HostPattern>>();
        let found = find("localhost", 8080, &patterns(&["localhost:8080"])).await.unwrap();
        assert_eq!(found, []);
        let found = find("localhost", 8080, &patterns(&["localhost:8080", "127.0.0.1:8080"])).await.unwrap();
        assert_eq!(found, ["127.0.0.1:8080".parse().unwrap()]);
        assert_eq!(find("127.0.0.1", 8080, &patterns(&["127.0.0.1:8081"])).await.unwrap(), []);
    }
}
