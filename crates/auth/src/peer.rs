//! Where a call came from, for limits and the audit log.

use std::net::IpAddr;

/// The other end of a call.
#[derive(Debug, Clone, Default)]
pub struct Peer {
    /// Its address, behind trusted proxies the address that they vouch for.
    pub ip: Option<IpAddr>,
    /// What its program calls itself; at most 256 bytes.
    pub user_agent: String,
    /// The id of the request, as the reply's `x-request-id` carries it.
    pub request_id: String,
}

impl Peer {
    /// What limits by address count by: an IPv4 address, or the /64 that an IPv6 host lives in.
    pub(crate) fn bucket(&self) -> Option<IpAddr> {
        self.ip.map(|ip| match ip.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & (u128::MAX << 64)).into()),
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}
