//! Files between a master's link and real workers: a stock one, and our own program.

mod both;
mod ours;
mod stage;
mod triggered;
mod whole;
