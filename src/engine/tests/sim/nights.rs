//! When a daily moment comes next, worked out without cron: day by day, on the zone's own calendar.

use jiff::tz::{AmbiguousOffset, TimeZoneDatabase};

use crate::base::Timestamp;

/// The first moment after `after` at which the clocks of this zone show the minute and hour of `M H * * *`. One that the
/// clocks skip counts as the moment at which they have skipped it; of one that comes twice the first counts.
pub fn next_daily(cron: &str, zone: &str, after: Timestamp) -> Timestamp {
    let mut words = cron.split(' ');
    let minute: i8 = words.next().unwrap().parse().unwrap();
    let hour: i8 = words.next().unwrap().parse().unwrap();
    let zone = TimeZoneDatabase::bundled().get(zone).unwrap();
    let start = jiff::Timestamp::from_millisecond(after.as_millis()).unwrap().to_zoned(zone.clone());
    for ahead in 0..4 {
        let day = start.date().checked_add(jiff::Span::new().days(ahead)).unwrap();
        let local = day.at(hour, minute, 0, 0);
        let ambiguous = zone.to_ambiguous_timestamp(local);
        let moment = match ambiguous.offset() {
            AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => ambiguous.earlier().unwrap(),
            // The gap ends where the clocks are put forward: at the first transition after the earlier reading.
            AmbiguousOffset::Gap { .. } => zone.following(ambiguous.earlier().unwrap()).next().unwrap().timestamp(),
        };
        let moment = Timestamp::from_millis(moment.as_millisecond());
        if moment > after {
            return moment;
        }
    }
    unreachable!("every day has such a moment")
}
