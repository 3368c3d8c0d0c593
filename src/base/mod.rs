//! What the standard library lacks: time, nearest names, digests, reports of errors, processes.
//!
//! Imports nothing of ours. The only room that reads the system clock and environment variables, and that starts child
//! processes.

mod address_range;
mod authority;
mod clock;
mod digest;
pub mod environment;
pub mod files;
mod host;
mod logging;
pub mod memory;
mod nearest;
pub mod process;
mod random;
mod report;
mod size;
mod span;
mod throttle;
mod timestamp;

pub use address_range::AddressRange;
pub use authority::{Authority, Host};
pub use clock::{Clock, SystemClock};
pub use digest::Sha256;
pub use host::host_name;
pub use logging::{LogForm, init as init_logging};
pub use nearest::nearest;
pub use random::{random_bytes, random_fraction, unique_id};
pub use report::{Explained, Fault, chain};
pub use size::{parse_size, size_text};
pub use span::{ParseSpanError, Span};
pub use throttle::Throttle;
pub use timestamp::Timestamp;
