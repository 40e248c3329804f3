//! From where a request comes.

use std::net::IpAddr;

use actix_web::HttpRequest;
use uuid::Uuid;

use crate::auth::state;
use crate::http::request_id;

/// From where, and under which id in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    pub address: Option<IpAddr>,
    pub request: Option<Uuid>,
}

impl Origin {
    pub fn of(request: &HttpRequest) -> Self {
        let trusted = state(request).map_or(0, |app| app.trusted_proxies);
        let header = request.headers().get_all("x-forwarded-for");
        let forwarded: Vec<&str> = header.filter_map(|value| value.to_str().ok()).collect();
        let peer = request.peer_addr().map(|peer| peer.ip());
        let id = request_id();
        let number = id.as_deref().and_then(|id| id.strip_prefix("req_"));
        Self {
            address: client(peer, &forwarded.join(","), trusted),
            request: number.and_then(|number| Uuid::try_parse(number).ok()),
        }
    }

    /// The request's id as it stands in the log.
    pub fn request_id(&self) -> Option<String> {
        self.request.map(|id| format!("req_{}", id.simple()))
    }
}

/// The client's address: what the outermost trusted proxy saw. What stands further left in the
/// header was written by the client itself.
fn client(peer: Option<IpAddr>, forwarded: &str, trusted: u8) -> Option<IpAddr> {
    let from_right = usize::from(trusted).checked_sub(1);
    let named = from_right.and_then(|place| forwarded.rsplit(',').nth(place));
    let address = named.map_or(peer, |text| text.trim().parse().ok().or(peer));
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let peer = "192.0.2.1".parse().ok();
        for (forwarded, trusted, expected) in [
            ("203.0.113.9", 0, "192.0.2.1"),
            ("203.0.113.9", 1, "203.0.113.9"),
            ("198.51.100.7, 203.0.113.9", 1, "203.0.113.9"),
            ("10.0.0.1, 198.51.100.7, 203.0.113.9", 2, "198.51.100.7"),
            ("", 1, "192.0.2.1"),
            ("rubbish", 1, "192.0.2.1"),
            ("203.0.113.9", 2, "192.0.2.1"),
            ("::ffff:203.0.113.9", 1, "203.0.113.9"),
            ("2001:db8::1", 1, "2001:db8::1"),
        ] {
            let found = client(peer, forwarded, trusted);
            assert_eq!(found, expected.parse().ok(), "{forwarded} {trusted}");
        }
    }
}
