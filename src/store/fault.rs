//! Whose turn it is when a store fails.

use super::StoreError;
use crate::base::{Explained, Fault};

impl Explained for StoreError {
    fn fault(&self) -> Fault {
        match self {
            Self::OutOfOrder { .. } => Fault::Bug,
            Self::Locked { .. }
            | Self::NewerFormat { .. }
            | Self::OlderFormat { .. }
            | Self::Broken { .. }
            | Self::NoFormat { .. }
            | Self::Corrupt { .. }
            | Self::Io { .. }
            | Self::Full { .. }
            | Self::Database { .. }
            | Self::Dump { .. }
            | Self::NewerDump { .. }
            | Self::Poorer { .. }
            | Self::Gap { .. }
            | Self::Occupied { .. }
            | Self::Missing { .. }
            | Self::Closed => Fault::Environment,
        }
    }
}
