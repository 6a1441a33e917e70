//! Where connections come from, for whoever serves them: listeners, and who may come in by them.

mod allow;
mod door;
mod file;
mod listener;
pub(crate) mod queue;

pub use self::allow::{AllowFrom, Network, NetworkError};
pub(crate) use self::door::Door;
pub(crate) use self::file::Watch;
pub(crate) use self::listener::HALF_WAY;
pub use self::listener::{AddressError, BindOptions, ListenAddress, Listener};
