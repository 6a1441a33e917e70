//! Where connections come from, for whoever serves them: listeners, and who may come in by them.

mod allow;
mod door;
mod listener;

pub use self::allow::{AllowFrom, Network, NetworkError};
pub(crate) use self::door::Door;
pub(crate) use self::listener::KNOCKED;
pub use self::listener::{AddressError, BindOptions, ListenAddress, Listener};
