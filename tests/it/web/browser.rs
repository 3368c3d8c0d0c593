//! Pages in a real browser: nothing scrolls sideways at any size, and the browser has nothing to complain about.

use super::filled::filled;
use super::served::Served;
use crate::support::browser::Browser;
use crate::support::tier;

/// Widths and heights in CSS pixels: a telephone and a common laptop.
const SIZES: [(u32, u32); 2] = [(390, 844), (1280, 800)];
/// The smallest telephone, tablets both ways, a full-HD screen, a wide one.
const MORE_SIZES: [(u32, u32); 6] = [(320, 568), (600, 960), (768, 1024), (1024, 768), (1920, 1080), (3440, 1440)];

/// What sticks out to the right, if anything does: the page's width and the widest element.
const STICKS_OUT: &str = r"(() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return null;
    const widest = [...document.body.querySelectorAll('*')]
        .reduce((a, b) => a.getBoundingClientRect().right >= b.getBoundingClientRect().right ? a : b);
    return `${document.documentElement.scrollWidth} > ${width}: ${widest.outerHTML.slice(0, 200)}`;
})()";

#[test]
fn pages_fit_every_window_and_satisfy_the_browser() {
    let filled = filled();
    let served = Served::new(filled.world.master());
    let mut browser = Browser::start();
    let sizes: Vec<_> = SIZES.into_iter().chain(MORE_SIZES.into_iter().filter(|_| tier::is_full())).collect();
    let mut faults = Vec::new();
    for (width, height) in sizes {
        browser.resize(width, height);
        for path in [
            "/",
            "/builders",
            "/builders/ok",
            "/builders/ok/builds/1",
            "/builders/ok/builds/2",
            "/builders/ok/builds/1/steps/1/logs/stdio",
            "/pending",
            "/changes",
            "/workers",
            "/workers/w1",
            "/builders/caf%C3%A9%2F%C3%BCmlaut%20%3Cb%3E%2250%25%22%3C%2Fb%3E",
        ] {
            let complaints = browser.open(&format!("http://{}{path}", served.address));
            let heading = browser.evaluate("document.querySelector('h1')?.textContent.trim() ?? ''");
            let sticks_out = browser.evaluate(STICKS_OUT);
            if heading.as_str().is_none_or(str::is_empty) {
                faults.push(format!("{path} at {width}: no heading"));
            }
            if let Some(what) = sticks_out.as_str() {
                faults.push(format!("{path} at {width}: {what}"));
            }
            faults.extend(complaints.into_iter().map(|complaint| format!("{path} at {width}: {complaint}")));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_page_that_is_too_wide_or_broken_is_found() {
    let served = Served::new(super::world::World::empty().master());
    let mut browser = Browser::start();
    let (width, height) = SIZES[0];
    browser.resize(width, height);
    let complaints =
        browser.open("data:text/html,<p style='width:900px'>wide</p><script>throw new Error('x')</script>");
    assert!(complaints.iter().any(|complaint| complaint.contains("Error: x")), "{complaints:?}");
    let sticks_out = browser.evaluate(STICKS_OUT);
    assert!(sticks_out.as_str().is_some_and(|text| text.contains("wide")), "{sticks_out}");
    let missing = browser.open(&format!("http://{}/nosuch", served.address));
    assert!(missing.iter().any(|complaint| complaint.contains("404")), "{missing:?}");
}
