//! How it stands with the host, as it is told over HTTP: the shapes of `/api/v1`, and what they are filled from.

mod collect;
mod queues;
mod shapes;
mod verdict;

pub use collect::{Collector, Origin};
pub use queues::*;
pub use shapes::*;
