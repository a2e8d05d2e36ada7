//! The ways in which the same messages are handled.

use serde::{Deserialize, Serialize};

/// How messages are handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Way {
    /// The broker's client in a loop, which decodes into a struct written by hand and settles as our server does.
    Raw,
    /// Our server, with an application that does no more than that.
    Server,
    /// A generated service, which checks every payload.
    Service,
    /// The same service in Python, on the Python server of the broker.
    Python,
    /// The generated service, on that Python server.
    Bridge,
    /// `AsyncFast` on our server, as a Python package.
    AmgiRs,
}

impl Way {
    /// Those in Rust.
    pub(crate) const OURS: [Self; 3] = [Self::Raw, Self::Server, Self::Service];

    /// Those on a Python server.
    pub(crate) const PYTHONS: [Self; 3] = [Self::Python, Self::Bridge, Self::AmgiRs];

    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Server => "server",
            Self::Service => "service",
            Self::Python => "python",
            Self::Bridge => "bridge",
            Self::AmgiRs => "amgi-rs",
        }
    }
}
