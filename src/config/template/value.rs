//! The template as a Starlark value. It joins with texts, secrets and other templates by `+`; whatever else
//! would make a plain text of it leaves a mark by which it is refused wherever texts are taken.

use std::fmt;

use allocative::Allocative;
use starlark::any::ProvidesStaticType;
use starlark::starlark_complex_value;
use starlark::values::{
    Coerce, Freeze, FreezeResult, Freezer, Heap, NoSerialize, StarlarkPagablePanic, StarlarkValue, Trace, Value,
    ValueLifetimeless, ValueLike, starlark_value,
};

use super::parse::{Form, Key, Place, Segment, shifted};
use crate::config::marks::{TEMPLATE_MARK, plain};
use crate::config::values::secret::TextValue;
use crate::model::{Piece, Text};

/// A template, over values of a module in the making or of a finished one.
#[derive(Debug, Trace, Coerce, ProvidesStaticType, NoSerialize, StarlarkPagablePanic, Allocative)]
#[repr(C)]
pub(in crate::config) struct TemplateGen<V: ValueLifetimeless> {
    /// What was given with it; places know them by number.
    pub(super) given: Vec<V>,
    #[allocative(skip)]
    #[trace(unsafe_ignore)]
    pub(super) segments: Vec<Segment>,
}

starlark_complex_value!(pub(in crate::config) Template);

impl<V: ValueLifetimeless> fmt::Display for TemplateGen<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(TEMPLATE_MARK)?;
        for segment in &self.segments {
            match segment {
                Segment::Text(text) => f.write_str(text)?,
                Segment::Place(place) => f.write_str(&place.written)?,
            }
        }
        f.write_str("\">")
    }
}

#[starlark_value(type = "template")]
impl<'v, V: ValueLike<'v>> StarlarkValue<'v> for TemplateGen<V>
where
    Self: ProvidesStaticType<'v>,
{
    fn add(&self, right: Value<'v>, heap: Heap<'v>) -> Option<starlark::Result<Value<'v>>> {
        let right = part(right)?;
        Some(right.map(|right| heap.alloc(joined((self.segments.clone(), self.values()), right))))
    }

    fn radd(&self, left: Value<'v>, heap: Heap<'v>) -> Option<starlark::Result<Value<'v>>> {
        let left = part(left)?;
        Some(left.map(|left| heap.alloc(joined(left, (self.segments.clone(), self.values())))))
    }
}

impl<'v, V: ValueLike<'v>> TemplateGen<V> {
    fn values(&self) -> Vec<Value<'v>> {
        self.given.iter().map(|value| value.to_value()).collect()
    }
}

type Half<'v> = (Vec<Segment>, Vec<Value<'v>>);

fn joined<'v>((mut segments, mut given): Half<'v>, (more, values): Half<'v>) -> Template<'v> {
    segments.extend(shifted(&more, given.len()));
    given.extend(values);
    Template { given, segments }
}

/// What can stand beside a template; none for values of other types.
fn part<'v>(value: Value<'v>) -> Option<starlark::Result<Half<'v>>> {
    if let Some(template) = Template::from_value(value) {
        return Some(Ok((template.segments.clone(), template.given.clone())));
    }
    if let Some(text) = value.downcast_ref::<TextValue>() {
        return Some(Ok((of_text(&text.0), Vec::new())));
    }
    let text = value.unpack_str()?;
    let text = plain(text).map_err(|why| starlark::Error::new_other(anyhow::anyhow!("a text {why}")));
    Some(text.map(|text| (vec![Segment::Text(text.to_owned())], Vec::new())))
}

/// A text with secrets as segments.
pub(super) fn of_text(text: &Text) -> Vec<Segment> {
    let each = text.0.iter().map(|piece| match piece {
        Piece::Plain(text) => Segment::Text(text.clone()),
        Piece::Secret(name) | Piece::QuotedSecret(name, _) => {
            let written = format!("secret(\"{name}\")");
            Segment::Place(Box::new(Place { written, key: Key::Secret(name.clone()), form: Form::Plain }))
        }
        // Bears the mark of a secret in plain text, which is refused where the text is used.
        Piece::Address { .. } => Segment::Text(TextValue(Text(vec![piece.clone()])).to_string()),
    });
    each.collect()
}

impl Freeze for Template<'_> {
    type Frozen = FrozenTemplate;

    fn freeze(self, freezer: &Freezer) -> FreezeResult<Self::Frozen> {
        let given = self.given.into_iter().map(|value| value.freeze(freezer)).collect::<FreezeResult<_>>()?;
        Ok(TemplateGen { given, segments: self.segments })
    }
}
