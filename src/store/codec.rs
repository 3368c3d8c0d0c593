//! Records to bytes and back: MessagePack maps with named fields, so that later versions can add fields.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;

/// The stored form of plain data.
pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    rmp_serde::to_vec_named(value).expect("plain data always serializes")
}

/// Plain data from its stored form; `what` names it in the error.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T, StoreError> {
    rmp_serde::from_slice(bytes).map_err(|error| StoreError::corrupt(what, error))
}

/// A number as a stored value.
pub(crate) fn encode_number(number: u64) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

/// A number from a stored value.
pub(crate) fn decode_number(bytes: &[u8], what: &str) -> Result<u64, StoreError> {
    let bytes = <[u8; 8]>::try_from(bytes).map_err(|_| StoreError::corrupt(what, "not a number of eight bytes"))?;
    Ok(u64::from_be_bytes(bytes))
}
