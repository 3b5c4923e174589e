//! The errors on the way to the network.

use accretion_core::Fault;

/// An error on the way to the network.
#[derive(Debug, thiserror::Error, Fault)]
pub enum Error {
    /// An index or file server did not answer as it should.
    #[error("{host} could not be reached or did not answer as it should: {problem}")]
    #[fault(
        Transient,
        hint = "check the network and try again; finished downloads stay in the cache"
    )]
    UpstreamUnavailable {
        /// The server; never a whole URL, which may hold a secret.
        host: String,
        /// The failure.
        problem: String,
    },
    /// Something would not be encrypted on its way.
    #[error("{what} would come over plain HTTP from {host}")]
    #[fault(User, hint = "use https")]
    InsecureUrl {
        /// The server.
        host: String,
        /// Its description.
        what: String,
    },
    /// An address is one of this machine, where they are refused.
    #[error("{what} would come from {host}, an address of the machine that builds the layer")]
    #[fault(
        User,
        hint = "put it on a server that can be reached from there, such as a package index"
    )]
    LocalAddressRefused {
        /// The server.
        host: String,
        /// Its description.
        what: String,
    },
    /// A server is not among those that the operator allows.
    #[error("{what} would come from {host}, which is not among the allowed hosts")]
    #[fault(
        User,
        hint = "require it from the package index, or have the host added to the parameter \
                AllowedHosts of the stack"
    )]
    HostNotAllowed {
        /// The server.
        host: String,
        /// Its description.
        what: String,
    },
    /// A package would come from elsewhere than it may.
    #[error("`{package}` would not come from `{index}`, or `{index}` is not for it")]
    #[fault(
        User,
        hint = "require it by name and version, or correct the index's `Packages`"
    )]
    PinNotKept {
        /// The package.
        package: String,
        /// The name of the index that it comes from alone.
        index: String,
    },
}
