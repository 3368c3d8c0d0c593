//! A master that cannot keep its facts ends, and tells nobody what it could not keep.

use starwright::testing::master::{OrderError, ShuttingDown};

use super::history::CONFIG;
use super::house::House;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_kept_is_not_acknowledged_and_ends_the_master() {
    let house = House::new(CONFIG);
    let running = house.start().await;
    let handle = running.handle().clone();
    let before = handle.store().last_fact().unwrap();
    // The disk is gone, as far as the owner can tell.
    handle.store().close().unwrap();
    assert_eq!(
        handle.order(super::house::force("linux"), super::house::ann()).await,
        Err(OrderError::ShuttingDown(ShuttingDown))
    );
    let why = handle.failed().await;
    assert!(why.to_string().contains("write facts to the store"), "{why}");
    running.master.stop().await;
    drop(handle);

    let running = house.start().await;
    assert!(running.handle().store().requests_waiting(all()).unwrap().is_empty());
    assert!(running.handle().store().last_fact().unwrap() > before);
    running.master.stop().await;
}

fn all() -> starwright::testing::store::Scan {
    starwright::testing::store::Scan { after: None, descending: false, limit: 100 }
}
