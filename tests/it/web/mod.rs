//! The web: the API against recorded answers of the field, control, hooks, workers, pages.

mod api;
mod filled;
mod served;
mod world;
