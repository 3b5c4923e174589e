//! The servers that downloads may come from.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use accretion_core::loopback::is_loopback;
use url::{Host, Url};

use crate::error::Error;
use crate::hosts::AllowedHosts;

/// The servers that downloads may come from. Checked before the first request, for each redirect,
/// and for each address that a host name turns out to have.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    /// The package indexes that the user chose.
    pub indexes: Vec<Url>,
    /// True if addresses of the machine itself are refused, unless the index is there.
    pub refuse_local: bool,
    /// Hosts that are allowed beside the index.
    pub hosts: AllowedHosts,
}

/// The reason why nothing is downloaded from a server.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    /// It would not be encrypted.
    #[error("{host} would send it over plain HTTP")]
    Plain {
        /// The server.
        host: String,
    },
    /// It is this machine itself.
    #[error("{host} is an address of this machine")]
    Local {
        /// The server.
        host: String,
    },
    /// The operator does not allow it.
    #[error("{host} is not among the hosts that are allowed")]
    Host {
        /// The server.
        host: String,
    },
}

impl Refusal {
    /// The error for what would come from there, in words.
    pub fn of(self, what: String) -> Error {
        match self {
            Self::Plain { host } => Error::InsecureUrl { host, what },
            Self::Local { host } => Error::LocalAddressRefused { host, what },
            Self::Host { host } => Error::HostNotAllowed { host, what },
        }
    }
}

impl Origins {
    /// Returns whether a URL is encrypted, or does not leave this machine, or is where the user said so.
    pub fn check(&self, url: &Url) -> Result<(), Refusal> {
        let name = || url.host_str().unwrap_or("the server").to_owned();
        let host = url.host();
        let mut indexes = self.indexes.iter();
        let is_index = indexes.any(|index| index.origin() == url.origin());
        if self.refuse_local && !is_index && host.as_ref().is_some_and(is_local_host) {
            return Err(Refusal::Local { host: name() });
        }
        if !is_index && !self.hosts.allow(&name()) {
            return Err(Refusal::Host { host: name() });
        }
        let may_be_plain = || {
            let on_loopback = !self.refuse_local && host.as_ref().is_some_and(is_loopback);
            on_loopback || self.is_plain_host(&name())
        };
        match url.scheme() {
            "https" if host.is_some() => Ok(()),
            "http" if may_be_plain() => Ok(()),
            _ => Err(Refusal::Plain { host: name() }),
        }
    }

    /// The addresses of a host that may be connected to. Refuses it if none is left.
    pub(crate) fn reachable(
        &self,
        host: &str,
        addresses: impl IntoIterator<Item = SocketAddr>,
    ) -> Result<Vec<SocketAddr>, Refusal> {
        let mut indexes = self.indexes.iter();
        let is_index = indexes.any(|index| index.host_str() == Some(host));
        let refuse = self.refuse_local && !is_index;
        let (refused, reachable): (Vec<_>, Vec<_>) = addresses
            .into_iter()
            .partition(|address| refuse && is_local(address.ip()));
        if reachable.is_empty() && !refused.is_empty() {
            return Err(Refusal::Local {
                host: host.to_owned(),
            });
        }
        Ok(reachable)
    }

    /// Returns whether it is the host of an index that the user named with `http:`.
    fn is_plain_host(&self, host: &str) -> bool {
        let mut plain = self.indexes.iter().filter(|index| index.scheme() == "http");
        plain.any(|index| index.host_str() == Some(host))
    }
}

fn is_local_host(host: &Host<&str>) -> bool {
    match *host {
        // Other names show when they are looked up.
        Host::Domain(name) => {
            let relative = name.trim_end_matches('.');
            relative == "localhost" || relative.ends_with(".localhost")
        }
        Host::Ipv4(ip) => is_local(ip.into()),
        Host::Ipv6(ip) => is_local(ip.into()),
    }
}

/// Returns whether an address is of the machine itself, or of what its host offers it alone: loopback,
/// unspecified (which connects to loopback), link-local, and the addresses that AWS keeps for
/// services of an instance (`fd00:ec2::/32`; Amazon EC2 User Guide, "Instance metadata").
fn is_local(ip: IpAddr) -> bool {
    const AWS: u128 = Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0).to_bits() >> 96;

    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_link_local() || ip.octets()[0] == 0,
        IpAddr::V6(ip) => {
            ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_unicast_link_local()
                || ip.to_bits() >> 96 == AWS
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(origins: &Origins, url: &str) -> &'static str {
        match origins.check(&url.parse().unwrap()) {
            Ok(()) => "ok",
            Err(Refusal::Plain { .. }) => "plain",
            Err(Refusal::Local { .. }) => "local",
            Err(Refusal::Host { .. }) => "host",
        }
    }

    #[test]
    fn where_downloads_may_come_from() {
        let origins = |refuse_local| Origins {
            refuse_local,
            ..Origins::default()
        };
        for (url, allowed, refused) in [
            ("https://example.com/", "ok", "ok"),
            ("http://example.com/", "plain", "plain"),
            ("ftp://127.0.0.1/", "plain", "local"),
            ("http://localhost:9001/", "ok", "local"),
            ("https://localhost./", "ok", "local"),
            ("https://a.localhost/", "ok", "local"),
            ("http://a.localhost/", "plain", "local"),
            ("https://notlocalhost/", "ok", "ok"),
            ("http://127.0.0.1:9001/", "ok", "local"),
            ("http://0x7f.1/", "ok", "local"),
            ("https://127.8.9.1/", "ok", "local"),
            ("https://0.0.0.0/", "ok", "local"),
            ("http://0.0.0.0/", "plain", "local"),
            ("http://169.254.169.254/", "plain", "local"),
            ("https://169.254.100.1/", "ok", "local"),
            ("https://169.255.0.1/", "ok", "ok"),
            ("https://10.0.0.1/", "ok", "ok"),
            ("http://[::1]/", "ok", "local"),
            ("https://[::]/", "ok", "local"),
            ("https://[::ffff:127.0.0.1]/", "ok", "local"),
            ("https://[::ffff:169.254.169.254]/", "ok", "local"),
            ("https://[fe80::1]/", "ok", "local"),
            ("https://[fd00:ec2::254]/", "ok", "local"),
            ("https://[fd00:ec3::254]/", "ok", "ok"),
            ("https://[2001:db8::1]/", "ok", "ok"),
        ] {
            assert_eq!(outcome(&origins(false), url), allowed, "{url}");
            assert_eq!(outcome(&origins(true), url), refused, "{url}");
        }
    }

    #[test]
    fn the_index_that_was_chosen_is_trusted_where_it_is() {
        let origins = Origins {
            indexes: vec!["http://127.0.0.1:8080/simple/".parse().unwrap()],
            refuse_local: true,
            hosts: "files.example.com".parse().unwrap(),
        };
        assert_eq!(outcome(&origins, "http://127.0.0.1:8080/files/a.whl"), "ok");
        assert_eq!(outcome(&origins, "http://127.0.0.1:9001/"), "local");
        assert_eq!(outcome(&origins, "https://127.0.0.1:8080/"), "local");
        assert_eq!(outcome(&origins, "https://files.example.com/"), "ok");
        assert_eq!(outcome(&origins, "https://example.com/"), "host");
    }

    #[test]
    fn names_are_refused_for_what_they_stand_for() {
        let addresses = |text: &str| -> Vec<SocketAddr> {
            let ips = text.split(' ').map(|ip| ip.parse::<IpAddr>().unwrap());
            ips.map(|ip| (ip, 0).into()).collect()
        };
        let mut origins = Origins {
            refuse_local: true,
            ..Origins::default()
        };
        let reachable = |origins: &Origins, text| {
            let reachable = origins.reachable("example.com", addresses(text));
            reachable.map(|addresses| addresses.len()).ok()
        };
        assert_eq!(reachable(&origins, "127.0.0.1 ::1"), None);
        assert_eq!(reachable(&origins, "127.0.0.1 192.0.2.1"), Some(1));
        assert_eq!(reachable(&origins, "2001:db8::1 192.0.2.1"), Some(2));
        origins.indexes = vec!["https://example.com/simple/".parse().unwrap()];
        assert_eq!(reachable(&origins, "127.0.0.1 ::1"), Some(2));
        origins.indexes.clear();
        origins.refuse_local = false;
        assert_eq!(reachable(&origins, "127.0.0.1 ::1"), Some(2));
    }
}
