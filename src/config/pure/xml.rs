//! `xml`: reads XML, such as the reports of test programs.
//!
//! Nothing is fetched, included or expanded: of entities only the five predefined ones and numbers of characters count, and
//! document types are passed over. Time and memory are linear in the text, and depth and number of elements are bounded.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use starlark::environment::GlobalsBuilder;
use starlark::starlark_module;
use starlark::values::dict::AllocDict;
use starlark::values::list::AllocList;
use starlark::values::{Heap, Value as Star};

/// Elements inside of each other: reports have less than ten levels.
const DEPTH_MAX: usize = 100;

/// Elements of one text: ten for each of the most results that a set may have.
const ELEMENTS_MAX: usize = 200_000;

#[starlark_module]
pub(super) fn functions(builder: &mut GlobalsBuilder) {
    /// The outermost element of an XML text, as a dict of `name`, `attributes` (a dict), `text` and `children` (a list of
    /// elements). Names are without their namespaces. A text that is not well-formed is an error.
    fn decode<'v>(#[starlark(require = pos)] text: &str, heap: Heap<'v>) -> anyhow::Result<Star<'v>> {
        let (mut tops, error) = read(text);
        match (tops.pop(), error) {
            (Some(top), None) if tops.is_empty() => Ok(top.alloc(heap)),
            (_, Some(why)) => Err(anyhow::anyhow!("the text is not XML: {why}")),
            (Some(_), None) => Err(anyhow::anyhow!("the text is not XML: it has several outermost elements")),
            (None, None) => Err(anyhow::anyhow!("the text is not XML: it has no element")),
        }
    }

    /// All elements of a name, in order, as `decode` gives them; those inside of another one of the name are only found in
    /// its children. Of a text that is cut off or damaged, the elements that are whole up to there.
    fn elements<'v>(
        #[starlark(require = pos)] text: &str,
        #[starlark(require = pos)] name: &str,
        heap: Heap<'v>,
    ) -> anyhow::Result<Star<'v>> {
        let (tops, _error) = read(text);
        let mut found = Vec::new();
        tops.iter().for_each(|top| top.find(name, &mut found));
        Ok(heap.alloc(AllocList(found.into_iter().map(|element| element.alloc(heap)))))
    }
}

/// An element.
#[derive(Debug, Default)]
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
    children: Vec<Element>,
    /// Whether its end was there.
    whole: bool,
}

impl Element {
    fn of(start: &BytesStart<'_>) -> Self {
        let mut all = start.attributes();
        let attributes = all.with_checks(false).filter_map(Result::ok);
        let attributes =
            attributes.map(|attribute| (local(attribute.key.as_ref()), unescaped(&attribute.value))).collect();
        Self { name: local(start.name().as_ref()), attributes, ..Self::default() }
    }

    fn find<'a>(&'a self, name: &str, found: &mut Vec<&'a Self>) {
        if self.name == name {
            // What is cut off may lack what makes it a failure.
            found.extend(self.whole.then_some(self));
        } else {
            self.children.iter().for_each(|child| child.find(name, found));
        }
    }

    fn alloc<'v>(&self, heap: Heap<'v>) -> Star<'v> {
        let attributes = self.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let children: Vec<Star<'v>> = self.children.iter().map(|child| child.alloc(heap)).collect();
        heap.alloc(AllocDict([
            ("name", heap.alloc(self.name.as_str())),
            ("attributes", heap.alloc(AllocDict(attributes))),
            ("text", heap.alloc(self.text.as_str())),
            ("children", heap.alloc(AllocList(children))),
        ]))
    }
}

/// The outermost elements, and what is wrong with the text after them.
fn read(text: &str) -> (Vec<Element>, Option<String>) {
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    let (mut tops, mut open, mut count) = (Vec::new(), Vec::<Element>::new(), 0);
    let error = loop {
        let event = match reader.read_event() {
            Ok(event) => event,
            Err(error) => break Some(format!("{error} at byte {}", reader.error_position())),
        };
        if matches!(event, Event::Start(_) | Event::Empty(_)) {
            count += 1;
            if count > ELEMENTS_MAX || open.len() >= DEPTH_MAX {
                break Some(format!(
                    "it has more than {ELEMENTS_MAX} elements, or they are more than {DEPTH_MAX} deep"
                ));
            }
        }
        match event {
            Event::Start(start) => open.push(Element::of(&start)),
            Event::Empty(start) => close(Element { whole: true, ..Element::of(&start) }, &mut open, &mut tops),
            Event::End(_) => {
                if let Some(element) = open.pop() {
                    close(Element { whole: true, ..element }, &mut open, &mut tops);
                }
            }
            Event::Text(piece) => append(&mut open, &piece),
            Event::CData(piece) => append(&mut open, &piece),
            Event::GeneralRef(name) => append(&mut open, &unescaped(&format!("&{};", &*name))),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            Event::Eof => break open.last().map(|element| format!("element `{}` has no end", element.name)),
        }
    };
    while let Some(element) = open.pop() {
        close(element, &mut open, &mut tops);
    }
    (tops, error)
}

fn close(element: Element, open: &mut [Element], tops: &mut Vec<Element>) {
    match open.last_mut() {
        Some(parent) => parent.children.push(element),
        None => tops.push(element),
    }
}

fn append(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

/// A name without its namespace.
fn local(name: &str) -> String {
    name.rsplit(':').next().unwrap_or(name).to_owned()
}

/// A text with its predefined entities and numbered characters; others stay as they stand.
fn unescaped(text: &str) -> String {
    quick_xml::escape::unescape(text).map_or_else(|_| text.to_owned(), std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str, name: &str) -> Vec<String> {
        let (tops, _) = read(text);
        let mut found = Vec::new();
        tops.iter().for_each(|top| top.find(name, &mut found));
        found.iter().map(|element| element.attributes.iter().map(|(_, value)| value.as_str()).collect()).collect()
    }

    #[test]
    fn elements_have_attributes_text_and_children() {
        let text = "<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>\
                    <n:a k='1 &lt; 2&#10;3'>one &amp; <b/><![CDATA[<two>]]>&x;</n:a>";
        let (tops, error) = read(text);
        assert_eq!(error, None);
        let top = &tops[0];
        assert_eq!((top.name.as_str(), top.text.as_str()), ("a", "one & <two>&x;"));
        assert_eq!(top.attributes, [("k".to_owned(), "1 < 2\n3".to_owned())]);
        assert_eq!(top.children[0].name, "b");
    }

    #[test]
    fn what_is_whole_of_a_cut_text_is_found() {
        let text = "<s><c n='1'/><c n='2'>x</c><c n='3'><f>y";
        assert_eq!(names(text, "c"), ["1", "2"]);
        assert!(read(text).1.unwrap().contains("no end"));
        assert_eq!(names("<s><c n='1'/><c n='2'></s>", "c"), ["1"]);
        assert_eq!(names("noise <c n='1'/> \u{0} <<<", "c"), ["1"]);
        assert_eq!(names("", "c"), [""; 0]);
    }

    #[test]
    fn depth_and_number_of_elements_are_bounded() {
        let deep = "<a>".repeat(DEPTH_MAX + 1);
        assert!(read(&deep).1.unwrap().contains("deep"));
        let many = format!("<s>{}</s>", "<c/>".repeat(ELEMENTS_MAX));
        assert!(read(&many).1.unwrap().contains("elements"));
    }
}
