//! The rule for loopback: the addresses and the name by which a machine reaches only itself.
//!
//! Plain http is safe there.

use url::Host;

/// Returns whether a host is the loopback interface, by its name or its address.
pub fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}
