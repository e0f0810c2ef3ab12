//! How a request arrived: from which address, under which id.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use chatsdk_types::Entropy;

/// The header that carries the id of a request.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A network: an address and how many of its leading bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Any address of it.
    pub address: IpAddr,
    /// The leading bits that its addresses share: up to 32 for IPv4, up to 128 for IPv6.
    pub prefix: u8,
}

impl Network {
    fn contains(&self, ip: IpAddr) -> bool {
        match (self.address.to_canonical(), ip.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix.min(32)));
                (ours.to_bits() ^ theirs.to_bits()) & mask.unwrap_or(0) == 0
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix.min(128)));
                (ours.to_bits() ^ theirs.to_bits()) & mask.unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// What the layer found out about a request; handlers see it as an extension.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    /// The id, as the reply's `x-request-id` carries it.
    pub(crate) id: HeaderValue,
    /// The caller's address, behind trusted proxies the one that they vouch for.
    pub(crate) ip: Option<IpAddr>,
}

impl Arrival {
    /// The id as text.
    pub(crate) fn id(&self) -> &str {
        self.id.to_str().unwrap_or_default()
    }
}

/// Reads how a request arrived. Whatever a stranger says of addresses and ids is not listened to.
pub(crate) fn arrival(
    socket: Option<SocketAddr>,
    headers: &HeaderMap,
    trusted: &[Network],
    ids: &RequestIds,
) -> Arrival {
    let ip = socket.map(|socket| socket.ip().to_canonical());
    let vouched = ip.is_some_and(|ip| is_trusted(ip, trusted));
    if !vouched {
        return Arrival { id: ids.next(), ip };
    }
    let id = match headers.get(X_REQUEST_ID) {
        Some(id) if is_request_id(id.as_bytes()) => id.clone(),
        _ => ids.next(),
    };
    Arrival {
        id,
        ip: forwarded_for(headers, trusted).or(ip),
    }
}

fn is_trusted(ip: IpAddr, trusted: &[Network]) -> bool {
    trusted.iter().any(|network| network.contains(ip))
}

fn is_request_id(id: &[u8]) -> bool {
    (8..=64).contains(&id.len())
        && id
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// The rightmost hop of `X-Forwarded-For` that is not a trusted proxy. What stands left of it was
/// written by the caller and may say anything. Where every hop is trusted, the leftmost one.
fn forwarded_for(headers: &HeaderMap, trusted: &[Network]) -> Option<IpAddr> {
    let mut best = None;
    let lines: Vec<&HeaderValue> = headers.get_all(X_FORWARDED_FOR).iter().collect();
    for line in lines.into_iter().rev() {
        let Ok(line) = line.to_str() else { return best };
        for hop in line.rsplit(',') {
            let Some(ip) = hop_address(hop.trim()) else {
                return best;
            };
            best = Some(ip);
            if !is_trusted(ip, trusted) {
                return best;
            }
        }
    }
    best
}

/// An address as proxies write it: bare, in brackets, or with a port.
fn hop_address(hop: &str) -> Option<IpAddr> {
    let bare = hop
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(hop);
    bare.parse::<IpAddr>()
        .ok()
        .or_else(|| hop.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
        .map(|ip| ip.to_canonical())
}

/// Makes ids that are unique in the deployment: chance once per process, then a count. They are no
/// secrets, so that asking the system for chance at each request would buy nothing.
#[derive(Debug)]
pub(crate) struct RequestIds {
    process: String,
    count: AtomicU64,
}

impl RequestIds {
    pub(crate) fn new(chance: &dyn Entropy) -> Self {
        let seed = u64::from_be_bytes(chatsdk_types::entropy::bytes::<8>(chance));
        Self {
            process: format!("{seed:016x}"),
            count: AtomicU64::new(0),
        }
    }

    fn next(&self) -> HeaderValue {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        HeaderValue::try_from(format!("{}-{count:08x}", self.process))
            .unwrap_or(HeaderValue::from_static("unknown"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chatsdk_types::SystemEntropy;

    fn network(address: &str, prefix: u8) -> Network {
        Network {
            address: address.parse().unwrap(),
            prefix,
        }
    }

    fn ip(forwarded: &[&str], socket: &str, trusted: &[Network]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(X_FORWARDED_FOR, line.parse().unwrap());
        }
        let socket = format!("{socket}:1").parse().unwrap();
        let ids = RequestIds::new(&SystemEntropy);
        arrival(Some(socket), &headers, trusted, &ids)
            .ip
            .unwrap()
            .to_string()
    }

    #[test]
    fn networks_contain_what_shares_their_prefix() {
        assert!(network("10.1.2.3", 8).contains("10.255.0.1".parse().unwrap()));
        assert!(!network("10.0.0.0", 8).contains("11.0.0.1".parse().unwrap()));
        assert!(network("0.0.0.0", 0).contains("11.0.0.1".parse().unwrap()));
        assert!(!network("0.0.0.0", 0).contains("::1".parse().unwrap()));
        assert!(network("10.0.0.1", 32).contains("::ffff:10.0.0.1".parse().unwrap()));
        assert!(network("fd00::", 8).contains("fdff::1".parse().unwrap()));
        assert!(network("::", 0).contains("fdff::1".parse().unwrap()));
    }

    #[test]
    fn strangers_cannot_choose_their_address() {
        assert_eq!(ip(&["1.2.3.4"], "9.9.9.9", &[]), "9.9.9.9");
        let proxies = [network("10.0.0.0", 8)];
        assert_eq!(ip(&["1.2.3.4"], "9.9.9.9", &proxies), "9.9.9.9");
    }

    #[test]
    fn the_rightmost_untrusted_hop_is_the_caller() {
        let proxies = [network("10.0.0.0", 8)];
        for (forwarded, expected) in [
            (&["1.1.1.1, 2.2.2.2"][..], "2.2.2.2"),
            (&["1.1.1.1, 2.2.2.2, 10.0.0.7"], "2.2.2.2"),
            (&["1.1.1.1", "2.2.2.2,10.0.0.7"], "2.2.2.2"),
            (&["2.2.2.2:8080"], "2.2.2.2"),
            (&["[2001:db8::1]:443"], "2001:db8::1"),
            (&["[2001:db8::1]"], "2001:db8::1"),
            (&["10.0.0.3, 10.0.0.4"], "10.0.0.3"),
            (&["1.1.1.1, rubbish, 10.0.0.4"], "10.0.0.4"),
            (&["rubbish"], "10.0.0.1"),
            (&[], "10.0.0.1"),
        ] {
            assert_eq!(
                ip(forwarded, "10.0.0.1", &proxies),
                expected,
                "{forwarded:?}"
            );
        }
    }

    #[test]
    fn only_a_trusted_proxy_names_requests() {
        let ids = RequestIds::new(&SystemEntropy);
        let mut headers = HeaderMap::new();
        headers.insert(X_REQUEST_ID, HeaderValue::from_static("from-outside-1"));
        let socket = "10.0.0.1:1".parse().ok();
        let trusted = [network("10.0.0.0", 8)];
        assert_eq!(
            arrival(socket, &headers, &trusted, &ids).id(),
            "from-outside-1"
        );
        assert_ne!(arrival(socket, &headers, &[], &ids).id(), "from-outside-1");
        headers.insert(X_REQUEST_ID, HeaderValue::from_static("bad id with spaces"));
        assert_ne!(
            arrival(socket, &headers, &trusted, &ids).id(),
            "bad id with spaces"
        );
    }

    #[test]
    fn ids_differ() {
        let ids = RequestIds::new(&SystemEntropy);
        assert_ne!(ids.next(), ids.next());
        assert!(is_request_id(ids.next().as_bytes()));
    }

    /// A short run of a fuzz target: what proxies write, and some thousand lines made of it.
    #[test]
    fn any_line_of_hops_is_read() {
        fn target(line: &[u8]) {
            let Ok(line) = HeaderValue::from_bytes(line) else {
                return;
            };
            let trusted = [network("10.0.0.0", 8), network("fd00::", 8)];
            let mut headers = HeaderMap::new();
            headers.append(X_FORWARDED_FOR, line.clone());
            let alone = forwarded_for(&headers, &trusted);
            // Whoever is named is named in the line, and what stands left of a stranger changes nothing.
            if let Some(ip) = alone.filter(|ip| !is_trusted(*ip, &trusted)) {
                assert!(
                    line.to_str()
                        .unwrap()
                        .split(',')
                        .any(|hop| hop_address(hop.trim()) == Some(ip))
                );
                headers.clear();
                headers.append(X_FORWARDED_FOR, HeaderValue::from_static("1.1.1.1"));
                headers.append(X_FORWARDED_FOR, line);
                assert_eq!(forwarded_for(&headers, &trusted), Some(ip));
            }
        }
        let seeds = [
            "1.1.1.1, 2.2.2.2, 10.0.0.7",
            "[2001:db8::1]:443,10.0.0.7:80",
            "unknown, fd00::1, [fd00::2], ::ffff:10.0.0.1",
        ];
        crate::mutation::run(target, &seeds.map(|seed| seed.as_bytes().to_vec()));
    }
}
