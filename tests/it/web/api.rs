//! Reading `/api/v2`.

use super::filled::filled;
use super::served::Served;

#[test]
fn builds_are_listed() {
    let served = Served::new(filled().world.master());
    println!("{}", served.api("builds?limit=2").text());
    println!("{}", served.page("/api/v2/builders/1").text());
}
