//! Which addresses the server may fetch from for a client: those that anybody could reach.
//!
//! Source: IANA's registries of special-purpose addresses for IPv4 and IPv6.
//!
//! Invariant: what is not known to be public is not. An address that stands for another (mapped,
//! 6to4, Teredo, NAT64) is refused whatever it stands for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Networks of IPv4 that are not public, by their first address and the length of their prefix.
const SPECIAL_V4: [([u8; 4], u32); 18] = [
    ([0, 0, 0, 0], 8),        // this network
    ([10, 0, 0, 0], 8),       // private
    ([100, 64, 0, 0], 10),    // shared by carriers; metadata of Alibaba's machines
    ([127, 0, 0, 0], 8),      // this machine
    ([168, 63, 129, 16], 32), // Azure's machines are told of themselves here
    ([169, 254, 0, 0], 16),   // this link; metadata of most clouds' machines
    ([172, 16, 0, 0], 12),    // private
    ([192, 0, 0, 0], 24),     // protocols; metadata of Oracle's machines
    ([192, 0, 2, 0], 24),     // examples
    ([192, 31, 196, 0], 24),  // AS112
    ([192, 52, 193, 0], 24),  // AMT
    ([192, 88, 99, 0], 24),   // relays of 6to4
    ([192, 168, 0, 0], 16),   // private
    ([192, 175, 48, 0], 24),  // AS112
    ([198, 18, 0, 0], 15),    // measurements
    ([198, 51, 100, 0], 24),  // examples
    ([203, 0, 113, 0], 24),   // examples
    ([224, 0, 0, 0], 3),      // multicast, reserved, broadcast
];

/// Of what IPv6 gives out to be reached by all (2000::/3), networks that are not public.
const SPECIAL_V6: [([u16; 3], u32); 6] = [
    ([0x2001, 0, 0], 23),         // protocols, Teredo among them
    ([0x2001, 0xdb8, 0], 32),     // examples
    ([0x2002, 0, 0], 16),         // 6to4
    ([0x2620, 0x4f, 0x8000], 48), // AS112
    ([0x3ffe, 0, 0], 16),         // what was 6bone
    ([0x3fff, 0, 0], 20),         // examples
];

/// Whether anybody could reach it.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let within = |(net, len): &([u8; 4], u32)| {
                (u32::from(address) ^ u32::from(Ipv4Addr::from(*net))) >> (32 - len) == 0
            };
            !SPECIAL_V4.iter().any(within)
        }
        IpAddr::V6(address) => {
            let within = |[a, b, c]: [u16; 3], len: u32| {
                let net = u128::from(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0));
                (u128::from(address) ^ net) >> (128 - len) == 0
            };
            within([0x2000, 0, 0], 3) && !SPECIAL_V6.iter().any(|(net, len)| within(*net, *len))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_public_is_known() {
        let refused = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "169.254.170.2",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "192.168.255.255",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::ffff:169.254.169.254",
            "::ffff:0:10.0.0.1",
            "64:ff9b::8.8.8.8",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:0:53aa:64c::1",
            "2001:20::1",
            "2001:db8::1",
            "2002::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "3ffe::1",
            "3fff:fff::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fd12::1",
            "fe80::1",
            "fe80::a9fe:a9fe",
            "fec0::1",
            "ff02::1",
            "ffff::1",
        ];
        for address in refused {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        let allowed = [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "126.0.0.1",
            "128.0.0.1",
            "168.63.129.17",
            "169.253.0.1",
            "169.255.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.167.0.1",
            "192.169.0.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.1",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2003::1",
            "2606:4700:4700::1111",
            "2a00::1",
            "3ffd::1",
        ];
        for address in allowed {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }
}
