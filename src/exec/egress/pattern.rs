//! Which hosts are meant: `api.example.com`, `*.example.com:8443`, `192.0.2.7:80`, `[2001:db8::7]`. Pure.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use thiserror::Error;

/// The port of hosts that are named without one.
const HTTPS_PORT: u16 = 443;
/// Names are no longer (RFC 1035).
const NAME_BYTES_MAX: usize = 253;
/// Nor are their parts.
const LABEL_BYTES_MAX: usize = 63;

/// A text that names no hosts.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("\"{text}\" names no host: {why}\n  hint: a name, *.name or an address, with :PORT unless it is 443")]
pub struct PatternError {
    text: String,
    why: &'static str,
}

/// One host, or all below one, at one port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern {
    host: Host,
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    Address(IpAddr),
    Name(String),
    /// The suffix with its leading dot: every name that ends so, but not the suffix itself.
    Below(String),
}

impl HostPattern {
    /// True when a host, as a request names it, is meant.
    pub fn matches(&self, host: &str, port: u16) -> bool {
        let name = host.trim_end_matches('.').to_ascii_lowercase();
        self.port == port
            && match &self.host {
                Host::Address(address) => parse_address(host) == Some(*address),
                Host::Name(own) => name == *own,
                Host::Below(suffix) => parse_address(host).is_none() && name.len() > suffix.len() && name.ends_with(suffix.as_str()),
            }
    }

    /// True when exactly this address is listed.
    pub(super) fn lists(&self, address: IpAddr, port: u16) -> bool {
        self.port == port && self.host == Host::Address(address)
    }
}

/// An address as it stands in a URL or by itself.
pub(super) fn parse_address(host: &str) -> Option<IpAddr> {
    host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(host).parse().ok()
}

impl FromStr for HostPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |why| PatternError { text: text.chars().take(NAME_BYTES_MAX).collect(), why };
        if let Some(address) = parse_address(text) {
            return Ok(Self { host: Host::Address(address), port: HTTPS_PORT });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => {
                (host, port.parse().ok().filter(|port| *port != 0).ok_or_else(|| wrong("its port is no number from 1 to 65535"))?)
            }
            None => (text, HTTPS_PORT),
        };
        if let Some(address) = parse_address(host).filter(|address| address.is_ipv4() || host.starts_with('[')) {
            return Ok(Self { host: Host::Address(address), port });
        }
        let name = host.trim_end_matches('.').to_ascii_lowercase();
        let (below, plain) = match name.strip_prefix("*.") {
            Some(suffix) => (true, suffix),
            None => (false, name.as_str()),
        };
        if plain.is_empty() || plain.len() > NAME_BYTES_MAX {
            return Err(wrong("a name has 1 to 253 characters"));
        }
        let label = |label: &str| !label.is_empty() && label.len() <= LABEL_BYTES_MAX && label.bytes().all(plain_byte);
        if !plain.split('.').all(label) {
            return Err(wrong("names are made of letters, digits, - and _, in parts of at most 63; others stand in their xn-- form"));
        }
        if below && !plain.contains('.') {
            return Err(wrong("*. before a whole top-level domain names half the world"));
        }
        Ok(Self { host: if below { Host::Below(format!(".{plain}")) } else { Host::Name(plain.to_owned()) }, port })
    }
}

fn plain_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

impl fmt::Display for HostPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(IpAddr::V6(address)) => write!(out, "[{address}]:{}", self.port),
            Host::Address(address) => write!(out, "{address}:{}", self.port),
            Host::Name(name) => write!(out, "{name}:{}", self.port),
            Host::Below(suffix) => write!(out, "*{suffix}:{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_read_and_shown_in_full() {
        let check = |text: &str, shown: Result<&str, ()>| {
            let read = text.parse::<HostPattern>();
            assert_eq!(read.as_ref().map(ToString::to_string).map_err(|_| ()), shown.map(str::to_owned), "{text}: {read:?}");
        };
        check("API.Example.com.", Ok("api.example.com:443"));
        check("*.example.com:8443", Ok("*.example.com:8443"));
        check("127.0.0.1:80", Ok("127.0.0.1:80"));
        check("[::1]:80", Ok("[::1]:80"));
        check("::1", Ok("[::1]:443"));
        for wrong in ["", "*", "*.com", "a..b", "a b", "http://a", "a:0", "a:99999", "a:", "-.*.b", "bücher.de", &"a".repeat(64)] {
            check(wrong, Err(()));
        }
    }

    #[test]
    fn only_what_is_named_matches() {
        let check = |pattern: &str, host, port, expected| {
            assert_eq!(pattern.parse::<HostPattern>().unwrap().matches(host, port), expected, "{pattern} {host}:{port}");
        };
        check("example.com", "EXAMPLE.com.", 443, true);
        check("example.com", "example.com", 80, false);
        check("example.com", "www.example.com", 443, false);
        check("example.com", "example.com.evil.net", 443, false);
        check("*.example.com", "a.b.example.com", 443, true);
        check("*.example.com", "example.com", 443, false);
        check("*.example.com", "evilexample.com", 443, false);
        check("*.example.com", ".example.com", 443, false);
        check("192.0.2.7", "192.0.2.7", 443, true);
        check("[2001:db8::7]", "[2001:0db8::7]", 443, true);
        check("*.0.2.7", "192.0.2.7", 443, false);
    }
}
