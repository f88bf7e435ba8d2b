#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use linchpin_config::StorageClass::{self, Archive, DeepArchive, GlacierIr, Standard};

use super::*;
use crate::{prices::Op, tiers::Step};

const DAY: Duration = Duration::from_hours(24);
const MIB: u64 = 1 << 20;
const NOW_MS: i64 = 1_800_000_000_000;

fn class(name: &str, hot: u32, expire: u32, steps: &[(u32, StorageClass)]) -> RetentionClass {
    let tiers = steps.iter().map(|(after, class)| Step { after: *after * DAY, class: *class }).collect();
    RetentionClass { tiers, ..RetentionClass::new(name, hot * DAY, expire * DAY) }
}

fn exact() -> Habits {
    Habits {
        wait: Duration::ZERO,
        grace: 7 * DAY,
        linger: Duration::ZERO,
        pack_bytes: 240 * MIB,
        pack_span: Duration::ZERO,
    }
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-12 + b.abs() * 1e-9
}

#[test]
fn a_course_packs_once_then_moves() {
    let class = class("c", 7, 400, &[(7, GlacierIr), (180, DeepArchive)]);
    let way = Way::of(&class, Provider::S3);
    let course = course(&Objects::new(480.0, 10 * MIB, 0, Provider::S3), &way, &exact(), 0);
    let stays: Vec<_> = course
        .stays
        .iter()
        .map(|s| (s.class, s.count, s.bytes, s.period.0 / DAY_MS, s.period.1 / DAY_MS))
        .collect();
    assert_eq!(
        stays,
        [
            ("STANDARD", 480.0, 10 * MIB, 0, 7),
            ("GLACIER_IR", 20.0, 240 * MIB, 7, 180),
            ("DEEP_ARCHIVE", 20.0, 240 * MIB, 180, 407),
        ]
    );
    let asked = |day: i64| -> Vec<(Op, &str, f64, u64)> {
        let of_day = course.asked.iter().filter(|a| a.at_ms / DAY_MS == day);
        of_day.map(|a| (a.op, a.class, a.count, (a.read_bytes / MIB as f64) as u64)).collect()
    };
    assert_eq!(asked(0), [(Op::Put, "STANDARD", 480.0, 0)]);
    assert_eq!(
        asked(7),
        [
            (Op::Get, "STANDARD", 480.0, 4800),
            (Op::Put, "GLACIER_IR", 20.0, 0),
            // eight parts and their beginning
            (Op::Put, "STANDARD", 180.0, 0),
            (Op::Get, "GLACIER_IR", 20.0, 0),
            (Op::Get, "STANDARD", 480.0, 0),
            (Op::Delete, "STANDARD", 480.0, 0),
        ]
    );
    assert_eq!(asked(180), [(Op::Get, "GLACIER_IR", 20.0, 4800), (Op::Move, "DEEP_ARCHIVE", 20.0, 0)]);
    assert_eq!(asked(407).len(), 2);
}

#[test]
fn a_course_is_cut_and_gone_on_with() {
    let class = class("c", 7, 400, &[(7, GlacierIr), (180, DeepArchive)]);
    for provider in Provider::ALL {
        let way = Way::of(&class, provider);
        let whole = course(&Objects::new(480.0, 10 * MIB, 0, provider), &way, &exact(), 0);
        for day in [1, 8, 100, 179, 181, 399] {
            let at_ms = day * DAY_MS;
            let rest = course(&whole.state_at(at_ms).unwrap(), &way, &exact(), at_ms);
            let book = Book::builtin().unwrap();
            let sum = |course: &Course| -> f64 {
                price(course, provider, &book, &(0..i64::MAX)).values().map(Cost::total).sum()
            };
            assert_eq!(rest.end_ms(), whole.end_ms(), "{provider:?} {day}");
            let first = price(&whole, provider, &book, &(0..at_ms)).values().map(Cost::total).sum::<f64>();
            let (second, all) = (sum(&rest), sum(&whole));
            assert!(near(first + second, all), "{provider:?} {day}: {first} {second} {all}");
        }
        assert!(whole.state_at(whole.end_ms()).is_none());
    }
}

#[test]
fn what_needs_a_restore_stays_where_it_is() {
    let way = Way::of(&class("c", 7, 4000, &[(7, StorageClass::Glacier), (180, DeepArchive)]), Provider::S3);
    let course = course(&Objects::new(1.0, 300 * MIB, 0, Provider::S3), &way, &exact(), 0);
    let classes: Vec<&str> = course.stays.iter().map(|s| s.class).collect();
    assert_eq!(classes, ["STANDARD", "GLACIER"]);
}

#[test]
fn overdue_steps_are_one_move() {
    let way = Way::of(&class("c", 7, 4000, &[(7, GlacierIr), (180, DeepArchive)]), Provider::S3);
    let old = Objects { new: false, ..Objects::new(4.0, 10 * MIB, 0, Provider::S3) };
    let course = course(&old, &way, &exact(), 200 * DAY_MS);
    let stays: Vec<_> = course.stays.iter().filter(|s| s.period.0 < s.period.1).map(|s| s.class).collect();
    assert_eq!(stays, ["DEEP_ARCHIVE"]);
    assert!(course.asked.iter().all(|a| a.class != "GLACIER_IR"));
}

fn inflow(provider: Provider) -> Inflow {
    Inflow {
        feed: "trail".into(),
        class: "c".into(),
        provider,
        events: 1e6,
        raw_bytes: 90.0 * GB,
        stored_bytes: 10.0 * GB,
        segment_bytes: 4 * MIB,
        together_day: 10.0 * GB / 30.4,
        hot_bytes: 5.0 * GB,
        taken: 0.25,
    }
}

fn planned(classes: &[RetentionClass], facts: &Facts, months: u32) -> Plan {
    let book = Book::builtin().unwrap();
    let order = Order {
        classes,
        book: &book,
        now_ms: NOW_MS,
        months,
        habits: crate::enforce::Habits::default(),
        pass: Duration::from_hours(1),
    };
    plan(&order, facts)
}

#[test]
fn a_plan_adds_up() {
    let classes = [class("c", 30, 730, &[(7, GlacierIr), (180, DeepArchive)])];
    for provider in [Provider::S3, Provider::Azure, Provider::Gcs] {
        let facts = Facts { inflow: vec![inflow(provider)], lake: Some(provider), ..Facts::default() };
        let plan = planned(&classes, &facts, 36);
        assert_eq!(plan.months.len(), 36);
        // the rows are the whole life
        assert!(near(plan.by.iter().map(Row::total).sum(), plan.lifetime));
        // as much as comes in expires from the 25th month on: the bill is steady, and is that of one
        // month's inflow over its life
        let last = plan.months.last().unwrap();
        assert!((last.total() / plan.steady_monthly - 1.0).abs() < 1e-6, "{last:?} {}", plan.steady_monthly);
        assert!(near(plan.lifetime, plan.steady_monthly * 36.0));
        assert!(near(plan.siem_gb_avoided, 67.5));
        assert!(near(plan.siem_saved["elastic"], 67.5 * 0.5));
        let tiers: Vec<&str> = plan.by.iter().map(|row| row.tier.as_str()).collect();
        assert_eq!(tiers.len(), 4, "{tiers:?}");
        for row in plan.by.iter().filter(|row| row.tier != HOT_TIER) {
            assert!((row.bytes / GB / 360.0 - 1.0).abs() < 1e-6, "{row:?}");
        }
        let egress: f64 = plan.by.iter().map(|row| row.egress).sum();
        assert!(near(egress, 36.0 * 22.5 * Book::builtin().unwrap().store(provider).egress));
    }
}

#[test]
fn storage_of_a_plan_is_what_a_hand_would_reckon() {
    // 10 GB a month for two years in one class, without moves: at the end 24 months lie there
    let classes = [class("c", 0, 723, &[(0, Standard)])];
    let without = Inflow { hot_bytes: 0.0, taken: 1.0, ..inflow(Provider::S3) };
    let facts = Facts { inflow: vec![without], ..Facts::default() };
    let plan = planned(&classes, &facts, 60);
    let months = 730.0 * 24.0 / 730.0;
    let last = plan.months.last().unwrap();
    assert!((last.storage - 10.0 * 0.023 * months).abs() < 1e-3, "{last:?}");
    assert!((last.bytes / GB - 10.0 * months).abs() < 0.4, "{last:?}");
    assert!(near(plan.siem_gb_avoided, 0.0));
}

#[test]
fn a_shorter_policy_says_what_it_deletes_at_once() {
    let stock = |days: i64, held: bool| Stock {
        class: "c".into(),
        provider: Provider::Gcs,
        objects: Objects {
            new: false,
            committed_ms: NOW_MS - days * DAY_MS,
            since_ms: NOW_MS - days * DAY_MS,
            ..Objects::new(1.0, 100 * MIB, 0, Provider::Gcs)
        },
        events: 1000.0,
        held,
        together_day: 100.0 * MIB as f64,
        feeds: vec![("a".into(), 0.75), ("b".into(), 0.25)],
    };
    let facts =
        Facts { stock: vec![stock(10, false), stock(100, false), stock(100, true)], ..Facts::default() };
    let long = planned(&[class("c", 7, 400, &[(7, Archive)])], &facts, 12);
    assert!(near(long.effects[0].keeps_events, 3000.0) && near(long.effects[0].deletes_events, 0.0));
    assert!(near(long.effects[0].moves_bytes, 300.0 * MIB as f64));
    let short = planned(&[class("c", 7, 30, &[(20, Archive)])], &facts, 12);
    let effect = &short.effects[0];
    assert!(near(effect.keeps_events, 2000.0) && near(effect.deletes_events, 1000.0), "{effect:?}");
    assert!(near(effect.deletes_bytes, 100.0 * MIB as f64));
    // ARCHIVE wants 365 days
    assert!(short.by.iter().map(|row| row.penalties).sum::<f64>() > 0.0);
    let part = |feed: &str| short.by.iter().filter(|r| r.feed == feed).map(Row::total).sum::<f64>();
    assert!(near(part("a"), 3.0 * part("b")));
    // a class that the policy does not have is kept and stays
    let other = planned(&[class("d", 7, 30, &[])], &facts, 12);
    assert!(near(other.effects[0].deletes_events, 0.0));
    assert!(other.by.iter().all(|row| row.tier == "STANDARD"));
}

#[test]
fn given_sizes_make_segments_as_the_limits_say() {
    let given = |gb: f64| {
        super::given(
            &[Given {
                feed: "trail".into(),
                class: "c".into(),
                provider: Provider::S3,
                raw_bytes_day: gb * GB,
                taken: 0.0,
            }],
            64 * MIB,
            Duration::from_secs(15),
        )
        .remove(0)
    };
    let large = given(9.0 * 1000.0);
    assert!((large.segment_bytes as f64 / (64.0 * MIB as f64 / 9.0) - 1.0).abs() < 0.01, "{large:?}");
    assert!(near(large.together_day, 1000.0 * GB));
    // a little feed makes a segment every 15 s
    let little = given(0.9);
    assert!((little.stored_bytes / little.segment_bytes as f64 / (5760.0 * 730.0 / 24.0) - 1.0).abs() < 0.01);
}

#[test]
fn packs_are_of_what_is_due_together() {
    let of = |mb_day: f64| {
        let habits = Habits::of(&crate::enforce::Habits::default(), Duration::from_hours(1), mb_day * 1e6);
        (habits.pack_bytes / 1_000_000, habits.pack_span.as_secs().div_ceil(3600))
    };
    // a day and an hour of a little, a pack as soon as there is enough of more, full ones of very much
    assert_eq!([of(24.0), of(240.0), of(1280.0), of(24_000.0)], [(25, 25), (133, 14), (154, 3), (240, 1)]);
}

#[test]
fn a_bill_prices_what_a_model_counted_as_a_plan_does() {
    use linchpin_store::model::{Request, Requests, Stay, Usage};
    let book = Book::builtin().unwrap();
    let mut usage = Usage::default();
    usage.requests.insert((Request::Put, "STANDARD"), Requests { count: 1, bytes: 0 });
    usage.requests.insert((Request::Get, "STANDARD"), Requests { count: 2, bytes: 300 * MIB });
    usage.requests.insert((Request::Move, "DEEP_ARCHIVE"), Requests { count: 1, bytes: 0 });
    usage.requests.insert((Request::Get, "DEEP_ARCHIVE"), Requests { count: 1, bytes: 0 });
    usage.requests.insert((Request::Delete, "DEEP_ARCHIVE"), Requests { count: 1, bytes: 0 });
    let stay = |class, from: i64, to: i64| Stay {
        class,
        bytes: 300 * MIB,
        from_ms: from * DAY_MS,
        to_ms: Some(to * DAY_MS),
        restored_copy: false,
    };
    usage.stays = vec![stay("STANDARD", 0, 7), stay("DEEP_ARCHIVE", 7, 107)];
    let billed = bill(&usage, Provider::S3, &book, 200 * DAY_MS);
    let way = Way::of(&class("c", 7, 100, &[(7, DeepArchive)]), Provider::S3);
    let course =
        course(&Objects { packed: true, ..Objects::new(1.0, 300 * MIB, 0, Provider::S3) }, &way, &exact(), 0);
    let planned = price(&course, Provider::S3, &book, &(0..i64::MAX));
    // a large object is put in parts: the model above was told of one request
    let parts = book.requests(Provider::S3, "STANDARD", Op::Put, 11.0);
    for (class, cost) in &billed {
        let planned = planned[class];
        let own =
            if *class == "STANDARD" { parts - book.requests(Provider::S3, class, Op::Get, 1.0) } else { 0.0 };
        assert!(near(planned.storage, cost.storage) && near(planned.penalties, cost.penalties), "{class}");
        assert!((planned.requests - own - cost.requests).abs() < 1e-9, "{class}: {planned:?} {cost:?}");
    }
    assert!(billed["DEEP_ARCHIVE"].penalties > 0.0);
}
