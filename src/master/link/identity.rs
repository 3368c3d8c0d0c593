//! Who is at the other end of a connection.

use std::fmt;
use std::net::IpAddr;

/// Distinguishes a worker that came back from another one with the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The spool, for one of our workers.
    pub instance: Option<String>,
    /// As the worker reports it; may be empty.
    pub basedir: String,
    /// The address that it connected from; none within one process.
    pub address: Option<IpAddr>,
}

impl Identity {
    /// Whether this is certainly the same worker: the same spool (a stock worker has none), directory and address. The
    /// spool alone does not tell, because it is copied with its directory.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self == other
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.basedir.as_str() {
            "" => f.write_str("the one in an unknown directory")?,
            basedir => write!(f, "the one in `{basedir}`")?,
        }
        self.address.map_or(Ok(()), |address| write!(f, " at {address}"))
    }
}
