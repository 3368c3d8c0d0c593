//! `address`: addresses of repositories, as text; nothing is looked at in any network.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use starlark::environment::GlobalsBuilder;
use starlark::starlark_module;
use starlark::values::{Heap, Value};

use super::super::convert::to_text;
use super::super::values::secret::TextValue;
use crate::model::{AddressPart, Piece, Text, is_relative_address, normal_address, repository_name, secret_login};

/// What has to be written otherwise in an element of a path (RFC 3986: everything but the unreserved characters).
const ELEMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A part of an address; plain text unless the address has something to hide.
fn part<'v>(address: Value<'v>, part: AddressPart, heap: Heap<'v>) -> anyhow::Result<Value<'v>> {
    let of = to_text(address).map_err(|why| anyhow::anyhow!("an address {why}"))?;
    let text = Text(vec![Piece::Address { part, of: of.clone() }]);
    let is_plain =
        of.secrets().next().is_none() && (part != AddressPart::Header || secret_login(&of.masked()).is_none());
    if is_plain {
        Ok(heap.alloc(text.reveal(&mut |_| None).unwrap_or_default()))
    } else {
        Ok(heap.alloc(TextValue(text)))
    }
}

#[starlark_module]
pub(super) fn functions(builder: &mut GlobalsBuilder) {
    /// The address without the login that a URL may hold: `plain("https://ann:pw@example.org/r")` is
    /// "https://example.org/r".
    fn plain<'v>(#[starlark(require = pos)] address: Value<'v>, heap: Heap<'v>) -> anyhow::Result<Value<'v>> {
        part(address, AddressPart::Plain, heap)
    }

    /// The HTTP header that holds this login, as a secret; an empty text if there is none.
    fn login_header<'v>(#[starlark(require = pos)] address: Value<'v>, heap: Heap<'v>) -> anyhow::Result<Value<'v>> {
        part(address, AddressPart::Header, heap)
    }

    /// The server of a web address: `server("https://example.org/r")` is "https://example.org/".
    fn server<'v>(#[starlark(require = pos)] address: Value<'v>, heap: Heap<'v>) -> anyhow::Result<Value<'v>> {
        part(address, AddressPart::Server, heap)
    }

    /// The form in which two addresses of one repository are equal, without scheme, login, usual port, `.git` and
    /// slashes at the end: `normal("git@example.org:r.git")` is "example.org/r". Secrets show as their names.
    fn normal<'v>(#[starlark(require = pos)] address: Value<'v>) -> anyhow::Result<String> {
        Ok(normal_address(&for_people(address)?))
    }

    /// The name of a repository, the last part of its address: `name("git@example.org:team/app.git")` is "app".
    fn name<'v>(#[starlark(require = pos)] address: Value<'v>) -> anyhow::Result<String> {
        Ok(repository_name(&for_people(address)?))
    }

    /// Whether it is a path that means something else in each directory, such as "../app".
    fn is_relative<'v>(#[starlark(require = pos)] address: Value<'v>) -> anyhow::Result<bool> {
        Ok(is_relative_address(&for_people(address)?))
    }

    /// A string for one element of a web address's path, or one value of its query: `escape("team/app")` is
    /// "team%2Fapp".
    fn escape(#[starlark(require = pos)] text: &str) -> anyhow::Result<String> {
        Ok(utf8_percent_encode(text, ELEMENT).to_string())
    }

    /// The address for people: without a login, secrets as their names.
    fn shown<'v>(#[starlark(require = pos)] address: Value<'v>) -> anyhow::Result<String> {
        for_people(address)
    }
}

fn for_people(address: Value<'_>) -> anyhow::Result<String> {
    let of = to_text(address).map_err(|why| anyhow::anyhow!("an address {why}"))?;
    Ok(Text(vec![Piece::Address { part: AddressPart::Plain, of }]).masked())
}
