//! Which addresses the server may connect to for a client: those that anybody could reach.
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
mod tests;
