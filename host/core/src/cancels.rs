//! Matches the cancels that a gateway reports against ours. After a request to cancel was lost, the gateway's list is all there
//! is to say whether it was made, and somebody may have cancelled the same sale in the gateway's admin pages meanwhile.
//!
//! Invariants:
//! - An attempt is called made only where exactly one reported cancel is its best match.
//! - An attempt is called not made only when no reported cancel can be its own and the request can no longer reach the gateway.
//! - A reported cancel that matches neither a fact nor the attempt was made by somebody else; it becomes a fact once.
//!
//! | reported beyond the known cancels | the attempt in doubt |
//! |---|---|
//! | nothing that matches it | not made once it can no longer arrive, until then unknown |
//! | one of its amount, timed while the host waited for the answer | made; every other one is somebody else's |
//! | one of its amount, timed at most [`SKEW_MS`] after the host stopped waiting, and no other match | made |
//! | one of its amount, timed a little before it began or longer after the host stopped waiting | unknown, then ambiguous once it can no longer arrive |
//! | several equally good matches | the same |
//! | no list, only a total | equal to its amount: made; smaller: somebody else's; larger: may contain it, as in the line above |
//!
//! A known cancel is recognised by the gateway's number, otherwise by its amount and the nearest time.
//!
//! Limit: when our request is lost on its way and somebody else cancels the same amount while it is under way or within
//! [`SKEW_MS`] after, the one cancel that is reported is taken for ours. No answer of a gateway distinguishes the two, and the
//! totals are right either way. For a cancel that is reported without a time, only the amount is compared.

/// How far a gateway's clock may differ from ours, in milliseconds. Both are assumed to follow NTP. A larger tolerance would
/// confuse our cancel with one that a person made by hand just before it, which takes about three seconds.
pub const SKEW_MS: i64 = 2_000;

/// Gateways report times in whole seconds, rounded down.
const SECOND_MS: i64 = 1_000;

/// A cancel that the gateway reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The gateway's number of it, if it reports one.
    pub number: Option<String>,
    /// Minor units.
    pub amount: i64,
    /// Milliseconds since the epoch by the gateway's clock, if it reports a time.
    pub at_ms: Option<i64>,
}

/// A cancel that is among the facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The gateway's number of it, if it reported one.
    pub number: Option<String>,
    /// Minor units.
    pub amount: i64,
    /// Milliseconds since the epoch.
    pub at_ms: i64,
}

/// A cancel attempt whose outcome is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tried {
    /// Minor units.
    pub amount: i64,
    /// When it was recorded, which is before the request was sent, in milliseconds since the epoch.
    pub began_ms: i64,
    /// When the host stopped waiting for the answer.
    pub ended_ms: i64,
    /// From when on the request can no longer take effect, by what the channel says of its gateway; [`Self::ended_ms`] if that is
    /// later.
    pub settles_ms: i64,
}

/// What a gateway reports of a sale.
#[derive(Debug, Clone, Copy)]
pub struct Sale<'a> {
    /// Total refunded in minor units, computed from the sale's state and its remaining amount.
    pub given_back: i64,
    /// Its cancels; may be empty, or hold one total instead of a list.
    pub listed: &'a [Shown],
}

/// How an attempt in doubt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ours {
    /// Made: this one.
    Made(Shown),
    /// Not made, and it can no longer be.
    NotMade,
    /// Unknown for now, and why.
    NotYet(&'static str),
    /// A reported cancel may be ours or somebody else's, and no later answer will distinguish them.
    Ambiguous,
}

/// How the reported cancels are attributed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// Made by others, and not among the facts yet.
    pub others: Vec<Shown>,
    /// The attempt in doubt, if there is one.
    pub ours: Option<Ours>,
}

/// The gateway reports a smaller total than our facts do, so nothing can be concluded from its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{here} was given back here, {there} at the gateway")]
pub struct Less {
    here: i64,
    there: i64,
}

impl Tried {
    /// When it can no longer take effect. `settles_ms` is a setting and may be shorter than the host itself waited; the request
    /// may have been made at any time until the wait ended.
    fn arrives_until_ms(&self) -> i64 {
        self.settles_ms.max(self.ended_ms)
    }

    /// How well a reported cancel matches this attempt.
    fn fit(&self, new: &New) -> Fit {
        let by_moment = new.shown.at_ms.map_or(Fit::Sure, |at_ms| self.moment(at_ms));
        match (new.shown.amount == self.amount, by_moment) {
            (_, Fit::Not) => Fit::Not,
            (true, fits) => fits,
            (false, _) if new.is_sum && new.shown.amount > self.amount => Fit::Perhaps,
            (false, _) => Fit::Not,
        }
    }

    fn moment(&self, at_ms: i64) -> Fit {
        let began_ms = self.began_ms.saturating_sub(self.began_ms.rem_euclid(SECOND_MS));
        if at_ms < began_ms.saturating_sub(SKEW_MS) || at_ms > self.arrives_until_ms().saturating_add(SKEW_MS)
        {
            Fit::Not
        } else if at_ms < began_ms || at_ms > self.ended_ms.saturating_add(SKEW_MS) {
            Fit::Perhaps
        } else if at_ms > self.ended_ms {
            Fit::IfAlone
        } else {
            Fit::Sure
        }
    }

    /// Whether a reported cancel is this attempt's after all, which had been called not made.
    pub fn made_after_all(&self, shown: &Shown) -> bool {
        shown.amount == self.amount
            && shown.at_ms.is_some_and(|at_ms| match self.moment(at_ms) {
                Fit::Sure | Fit::IfAlone => true,
                Fit::Perhaps | Fit::Not => false,
            })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    Not,
    /// May be the attempt's or somebody else's.
    Perhaps,
    /// The attempt's, unless another one matches too. A connection that is reset at once ends the wait within the second in which
    /// the cancel was made, and a gateway whose clock is ahead then reports a time after that end.
    IfAlone,
    Sure,
}

/// A reported cancel that is not among the facts.
struct New {
    shown: Shown,
    /// It is the difference of two totals and may stand for several cancels.
    is_sum: bool,
}

/// Attributes what the gateway reported at `asked_ms` to the known cancels, to the attempt in doubt, and to others.
pub fn explain(
    known: &[Known],
    tried: Option<&Tried>,
    sale: Sale<'_>,
    asked_ms: i64,
) -> Result<Explained, Less> {
    let new = unknown(known, sale)?;
    let Some(tried) = tried else {
        return Ok(Explained { others: new.into_iter().map(|new| new.shown).collect(), ours: None });
    };
    let settled = asked_ms > tried.arrives_until_ms();
    let (fitting, not): (Vec<_>, Vec<_>) =
        new.into_iter().map(|new| (tried.fit(&new), new.shown)).partition(|(fit, _)| *fit != Fit::Not);
    let mut others: Vec<Shown> = not.into_iter().map(|(_, shown)| shown).collect();
    let (sure, perhaps): (Vec<_>, Vec<_>) = fitting.into_iter().partition(|(fit, _)| *fit == Fit::Sure);
    let ours = match (sure.as_slice(), perhaps.as_slice()) {
        ([(_, made)], _) => {
            others.extend(perhaps.iter().map(|(_, shown)| shown.clone()));
            Ours::Made(made.clone())
        }
        ([], [(Fit::IfAlone, made)]) => Ours::Made(made.clone()),
        ([], []) if settled => Ours::NotMade,
        ([], []) => Ours::NotYet("the gateway knows no such cancel yet"),
        ([], [_, ..]) | ([_, ..], _) if settled => Ours::Ambiguous,
        ([], [_, ..]) | ([_, ..], _) => {
            Ours::NotYet("what the gateway shows may be this cancel or another's")
        }
    };
    Ok(Explained { others, ours: Some(ours) })
}

/// The reported cancels that are not among the known ones.
fn unknown(known: &[Known], sale: Sale<'_>) -> Result<Vec<New>, Less> {
    let here = known.iter().fold(0_i64, |sum, known| sum.saturating_add(known.amount));
    let there = sale.given_back;
    if there < here {
        return Err(Less { here, there });
    }
    let listed = sale.listed.iter().fold(0_i64, |sum, shown| sum.saturating_add(shown.amount));
    if listed == there
        && let Some(left) = unpaired(known, sale.listed)
    {
        return Ok(left.into_iter().map(|shown| New { shown, is_sum: false }).collect());
    }
    if there == here {
        return Ok(Vec::new());
    }
    // No list, or one whose parts differ from our facts: only the difference of the totals is certain.
    let last = sale.listed.last();
    let number = last.and_then(|shown| shown.number.clone());
    let shown = Shown {
        number: number.filter(|number| known.iter().all(|known| known.number.as_ref() != Some(number))),
        amount: there.saturating_sub(here),
        at_ms: last.and_then(|shown| shown.at_ms),
    };
    Ok(vec![New { shown, is_sum: true }])
}

/// The list without the known cancels, each of which is paired by number, otherwise by amount and nearest time. `None` if a
/// known one has no pair.
fn unpaired(known: &[Known], listed: &[Shown]) -> Option<Vec<Shown>> {
    let mut left: Vec<Shown> = listed.iter().filter(|shown| shown.amount > 0).cloned().collect();
    let mut unnamed: Vec<&Known> = Vec::new();
    for known in known.iter().filter(|known| known.amount > 0) {
        let same = |shown: &Shown| shown.number.is_some() && shown.number == known.number;
        match left.iter().position(|shown| same(shown) && shown.amount == known.amount) {
            Some(at) => drop(left.remove(at)),
            None => unnamed.push(known),
        }
    }
    while !unnamed.is_empty() {
        let pairs = unnamed.iter().enumerate().flat_map(|(one, known)| {
            let of_amount = left.iter().enumerate().filter(|(_, shown)| shown.amount == known.amount);
            of_amount.map(move |(other, shown)| {
                let apart =
                    shown.at_ms.map_or(i64::MAX, |ms| ms.saturating_sub(known.at_ms).saturating_abs());
                (apart, one, other)
            })
        });
        let (_, one, other) = pairs.min()?;
        unnamed.swap_remove(one);
        left.remove(other);
    }
    Some(left)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BEGAN: i64 = 1_000_000_700;
    const SETTLES: i64 = BEGAN + 900_000;

    fn tried(amount: i64) -> Tried {
        Tried { amount, began_ms: BEGAN, ended_ms: BEGAN + 15_000, settles_ms: SETTLES }
    }

    /// As amount and seconds after the second in which the attempt began.
    fn listed(list: &[(i64, i64)]) -> Vec<Shown> {
        let at = |seconds: i64| Some(BEGAN - 700 + seconds * 1000);
        let shown = |(number, (amount, seconds)): (usize, &(i64, i64))| Shown {
            number: Some(format!("n{number}")),
            amount: *amount,
            at_ms: at(*seconds),
        };
        list.iter().enumerate().map(shown).collect()
    }

    fn known(list: &[(i64, i64)]) -> Vec<Known> {
        let known = |(amount, seconds): &(i64, i64)| Known {
            number: None,
            amount: *amount,
            at_ms: BEGAN - 700 + seconds * 1000,
        };
        list.iter().map(known).collect()
    }

    fn word(ours: Option<&Ours>) -> &'static str {
        match ours {
            Some(Ours::Made(_)) => "made",
            Some(Ours::NotMade) => "not made",
            Some(Ours::NotYet(_)) => "not yet",
            Some(Ours::Ambiguous) => "ambiguous",
            None => "none",
        }
    }

    #[test]
    fn a_cancel_is_ours_by_moment_and_amount_and_what_is_older_is_another_s() {
        // Known, shown (amount, second), the attempt's amount; while it may arrive, afterwards, and the amounts of others.
        type Case<'a> = (&'a [(i64, i64)], &'a [(i64, i64)], i64, &'a str, &'a str, &'a [i64]);
        let cases: &[Case<'_>] = &[
            (&[], &[], 500, "not yet", "not made", &[]),
            (&[], &[(500, 0)], 500, "made", "made", &[]),
            (&[], &[(500, 15)], 500, "made", "made", &[]),
            // Older: somebody cancelled by hand, and ours was lost.
            (&[], &[(500, -3)], 500, "not yet", "not made", &[500]),
            (&[], &[(500, -3), (500, 0)], 500, "made", "made", &[500]),
            // A part by hand, and then all of it by us.
            (&[], &[(300, -60)], 1000, "not yet", "not made", &[300]),
            (&[], &[(300, 2)], 500, "not yet", "not made", &[300]),
            // A little before, or after nobody waited: equally ours and another's.
            (&[], &[(500, -1)], 500, "not yet", "ambiguous", &[]),
            (&[], &[(500, -2)], 500, "not yet", "ambiguous", &[]),
            (&[], &[(500, 18)], 500, "not yet", "ambiguous", &[]),
            (&[], &[(500, 20)], 500, "not yet", "ambiguous", &[]),
            // After nobody waited, by no more than the clocks may differ: ours, if it is alone.
            (&[], &[(500, 16)], 500, "made", "made", &[]),
            (&[], &[(500, 17), (300, 17)], 500, "made", "made", &[300]),
            (&[], &[(500, 16), (500, 17)], 500, "not yet", "ambiguous", &[]),
            (&[], &[(500, 16), (500, 20)], 500, "not yet", "ambiguous", &[]),
            (&[], &[(500, -1), (500, 16)], 500, "not yet", "ambiguous", &[]),
            (&[], &[(500, 1), (500, 16)], 500, "made", "made", &[500]),
            (&[], &[(500, 1), (500, 2)], 500, "not yet", "ambiguous", &[]),
            (&[], &[(500, 1), (300, 1), (500, 2)], 500, "not yet", "ambiguous", &[300]),
            // One while it was under way, and one later: the later one is another's.
            (&[], &[(500, 1), (500, 60)], 500, "made", "made", &[500]),
            (&[], &[(500, 5_000)], 500, "not yet", "not made", &[500]),
            // What is known is not shown again as news.
            (&[(500, -9)], &[(500, -9)], 500, "not yet", "not made", &[]),
            (&[(500, -9)], &[(500, -9), (500, 1)], 500, "made", "made", &[]),
            (&[(500, -9), (300, -5)], &[(300, -5), (500, -9), (200, -4)], 200, "not yet", "not made", &[200]),
            (&[(500, 1)], &[(500, -3), (500, 1)], 500, "not yet", "not made", &[500]),
        ];
        for (facts, list, amount, first, last, expected) in cases {
            let (facts, list) = (known(facts), listed(list));
            let given_back = list.iter().map(|shown| shown.amount).sum();
            for (asked_ms, word_expected) in [(BEGAN + 16_000, first), (SETTLES + 1, last)] {
                let sale = Sale { given_back, listed: &list };
                let found = explain(&facts, Some(&tried(*amount)), sale, asked_ms).unwrap();
                let others: Vec<i64> = found.others.iter().map(|shown| shown.amount).collect();
                assert_eq!((word(found.ours.as_ref()), &*others), (*word_expected, *expected), "{list:?}");
            }
        }
    }

    #[test]
    fn without_a_list_the_sum_says_as_much_as_it_can() {
        // Known, the list, given back there, the attempt's amount; while it may arrive, afterwards, and of others.
        type Case<'a> = (&'a [(i64, i64)], &'a [(i64, i64)], i64, i64, &'a str, &'a str, &'a [i64]);
        let cases: &[Case<'_>] = &[
            (&[], &[], 500, 500, "made", "made", &[]),
            (&[(500, -9)], &[], 500, 500, "not yet", "not made", &[]),
            (&[(300, -9)], &[], 800, 500, "made", "made", &[]),
            (&[], &[], 300, 500, "not yet", "not made", &[300]),
            // More than it: it may be in it.
            (&[], &[], 800, 500, "not yet", "ambiguous", &[]),
            // All of it as one, though a part is known.
            (&[(400, -9)], &[(1000, 1)], 1000, 600, "made", "made", &[]),
            (&[(400, -9)], &[(1000, -5)], 1000, 600, "not yet", "not made", &[600]),
            (&[(400, -9)], &[(1000, 1)], 1000, 500, "not yet", "ambiguous", &[]),
        ];
        for (facts, list, given_back, amount, first, last, expected) in cases {
            let (facts, list) = (known(facts), listed(list));
            for (asked_ms, word_expected) in [(BEGAN + 16_000, first), (SETTLES + 1, last)] {
                let sale = Sale { given_back: *given_back, listed: &list };
                let found = explain(&facts, Some(&tried(*amount)), sale, asked_ms).unwrap();
                let others: Vec<i64> = found.others.iter().map(|shown| shown.amount).collect();
                assert_eq!((word(found.ours.as_ref()), &*others), (*word_expected, *expected), "{list:?}");
            }
        }
    }

    #[test]
    fn a_known_number_is_known_whatever_its_moment() {
        let list = listed(&[(500, 1), (500, 2)]);
        let facts = [Known { number: Some("n1".to_owned()), amount: 500, at_ms: 0 }];
        let found =
            explain(&facts, Some(&tried(500)), Sale { given_back: 1000, listed: &list }, BEGAN).unwrap();
        assert_eq!(found.ours, Some(Ours::Made(list[0].clone())));
        assert_eq!(found.others, []);
    }

    #[test]
    fn a_lost_cancel_is_found_however_far_ahead_the_gateway_s_clock_is() {
        // The connection was reset at once.
        let tried = Tried { ended_ms: BEGAN + 50, ..tried(500) };
        for ahead_ms in (0..=SKEW_MS).step_by(50) {
            for made_ms in [BEGAN, BEGAN + 50] {
                let told_ms = made_ms + ahead_ms;
                let at_ms = Some(told_ms - told_ms.rem_euclid(1000));
                let list = [Shown { number: None, amount: 500, at_ms }];
                let sale = Sale { given_back: 500, listed: &list };
                let found = explain(&[], Some(&tried), sale, BEGAN + 5_000).unwrap();
                assert_eq!(word(found.ours.as_ref()), "made", "{ahead_ms} ms ahead");
                assert!(tried.made_after_all(&list[0]), "{ahead_ms} ms ahead");
            }
        }
    }

    #[test]
    fn nothing_is_over_or_another_s_while_the_host_itself_still_waits() {
        // Somebody said of the gateway that it takes ten seconds at most; the host waited for fifteen.
        let tried = Tried { settles_ms: BEGAN + 10_000, ..tried(500) };
        type Case<'a> = (&'a [(i64, i64)], i64, &'a str);
        let cases: &[Case<'_>] = &[
            (&[(500, 14)], 16_000, "made"),
            (&[(500, 14)], 900_000, "made"),
            (&[], 11_000, "not yet"),
            (&[], 15_001, "not made"),
        ];
        for (list, asked_after_ms, expected) in cases {
            let (list, asked_ms) = (listed(list), BEGAN + asked_after_ms);
            let given_back = list.iter().map(|shown| shown.amount).sum();
            let found = explain(&[], Some(&tried), Sale { given_back, listed: &list }, asked_ms).unwrap();
            assert_eq!((word(found.ours.as_ref()), found.others.len()), (*expected, 0), "{list:?}");
        }
    }

    #[test]
    fn less_at_the_gateway_than_here_says_nothing() {
        let facts = known(&[(500, -9)]);
        let less = explain(&facts, None, Sale { given_back: 400, listed: &[] }, BEGAN).unwrap_err();
        assert_eq!(less.to_string(), "500 was given back here, 400 at the gateway");
    }

    /// How a gateway of the model shows its cancels.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Shape {
        Full,
        NoNumbers,
        NoMoments,
        SumOnly,
    }

    /// What happens at the model's gateway, one after the other.
    #[derive(Debug, Clone, Copy)]
    enum Act {
        /// Somebody cancels in the gateway's admin.
        Admin { amount: i64, after_ms: i64 },
        /// The host cancels: made after so long, or never; answered or not; and the admin does so meanwhile, amount and after
        /// how long. The gateway gives back at most what is left.
        Host {
            amount: i64,
            after_ms: i64,
            made_after_ms: Option<i64>,
            admin: Option<(i64, i64)>,
            answered: bool,
            looks: u8,
            /// How long the host waits for the answer: it is lost at once, or never comes.
            ended_after_ms: i64,
            /// How long a request takes at most, as was said of the gateway.
            settles_after_ms: i64,
        },
    }

    fn act() -> impl Strategy<Value = Act> {
        let amount = prop::sample::select(vec![100, 200, 300]);
        let after = prop::sample::select(vec![0, 300, 900, 1_500, 2_500, 3_000, 20_000, 1_000_000]);
        let soon = prop::sample::select(vec![0, 20, 800, 14_000, 30_000, 800_000]);
        let (made, meanwhile) = (prop::option::weighted(0.6, soon.clone()), (amount.clone(), soon));
        let ended = prop::sample::select(vec![50, 15_000, 30_000]);
        let settles = prop::sample::select(vec![1_000, 10_000, 900_000]);
        let waits = (prop::bool::weighted(0.3), 0..4_u8, ended, settles);
        prop_oneof![
            (amount.clone(), after.clone()).prop_map(|(amount, after_ms)| Act::Admin { amount, after_ms }),
            (amount, after, made, prop::option::weighted(0.3, meanwhile), waits).prop_map(
                |(amount, after_ms, made_after_ms, admin, waits)| {
                    let (answered, looks, ended_after_ms, settles_after_ms) = waits;
                    let arrives = |ms: &i64| *ms <= settles_after_ms.max(ended_after_ms);
                    Act::Host {
                        amount,
                        after_ms,
                        made_after_ms: made_after_ms.filter(arrives),
                        admin,
                        answered,
                        looks,
                        ended_after_ms,
                        settles_after_ms,
                    }
                }
            ),
        ]
    }

    /// A gateway with an admin, and the facts of a host that asks it.
    struct Model {
        shape: Shape,
        skew_ms: i64,
        now_ms: i64,
        left: i64,
        /// With whether the attempt that runs made it.
        there: Vec<(Shown, bool)>,
        here: Vec<Known>,
        /// An attempt that nobody can tell ended the model's run.
        ambiguous: bool,
    }

    impl Model {
        fn book(&mut self, amount: i64, at_ms: i64, ours: bool) -> bool {
            if amount > self.left {
                return false;
            }
            self.left -= amount;
            let told_ms = at_ms + self.skew_ms;
            let number = Some(format!("n{}", self.there.len()));
            let shown = Shown { number, amount, at_ms: Some(told_ms - told_ms.rem_euclid(1000)) };
            self.there.push((shown, ours));
            true
        }

        fn list(&self) -> Vec<Shown> {
            let all = self.there.iter().map(|(shown, _)| shown.clone());
            match self.shape {
                Shape::Full => all.collect(),
                Shape::NoNumbers => all.map(|shown| Shown { number: None, ..shown }).collect(),
                Shape::NoMoments => all.map(|shown| Shown { at_ms: None, ..shown }).collect(),
                Shape::SumOnly => Vec::new(),
            }
        }

        fn look(&mut self, tried: Option<&Tried>, asked_ms: i64) -> Option<Ours> {
            let list = self.list();
            let given_back = self.there.iter().map(|(shown, _)| shown.amount).sum();
            let found = explain(&self.here, tried, Sale { given_back, listed: &list }, asked_ms).unwrap();
            let made = match &found.ours {
                Some(Ours::Made(shown)) => Some(shown.clone()),
                _ => None,
            };
            for shown in found.others.into_iter().chain(made) {
                let at_ms = shown.at_ms.unwrap_or(asked_ms);
                self.here.push(Known { number: shown.number, amount: shown.amount, at_ms });
            }
            found.ours
        }

        fn sums_agree(&self) -> bool {
            let here: i64 = self.here.iter().map(|known| known.amount).sum();
            here == self.there.iter().map(|(shown, _)| shown.amount).sum::<i64>()
        }

        /// Whether there is one of the admin, or of an earlier attempt, that nothing tells from the attempt's: of its amount, in a second in which it was under way, or
        /// so little later that the clocks may differ by it.
        fn has_a_twin(&self, tried: &Tried, from: usize) -> bool {
            let seconds = tried.began_ms / 1000 * 1000..=tried.ended_ms + SKEW_MS;
            let like = |shown: &Shown| match self.shape {
                Shape::Full | Shape::NoNumbers => {
                    shown.amount == tried.amount && seconds.contains(&shown.at_ms.unwrap())
                }
                // Without moments, everything that was not known before.
                Shape::NoMoments | Shape::SumOnly => true,
            };
            self.there.iter().skip(from).any(|(shown, ours)| !ours && like(shown))
        }

        /// Books what happens until a moment.
        fn run(&mut self, coming: &mut Vec<(i64, i64, bool)>, until_ms: i64) -> bool {
            coming.sort_unstable();
            let mut made = false;
            while coming.first().is_some_and(|(at_ms, ..)| *at_ms <= until_ms) {
                let (at_ms, amount, ours) = coming.remove(0);
                made |= self.book(amount, at_ms, ours) && ours;
            }
            made
        }

        fn host(&mut self, tried: Tried, mut coming: Vec<(i64, i64, bool)>, answered: bool, looks: u8) {
            // To this attempt an earlier one's cancel, which may have been made after all, is like anybody's.
            self.there.iter_mut().for_each(|(_, ours)| *ours = false);
            // What was cancelled by hand and never looked at is not known either.
            let before = if self.sums_agree() { self.there.len() } else { 0 };
            let mut made = self.run(&mut coming, tried.ended_ms);
            if made && answered {
                let (shown, _) = self.there.iter().rfind(|(_, ours)| *ours).unwrap().clone();
                self.here.push(Known { number: None, amount: shown.amount, at_ms: shown.at_ms.unwrap() });
                return;
            }
            let (mut ours, mut now_ms) = (None, tried.arrives_until_ms() + 1);
            for look in 0..=looks {
                // The last look comes when nothing can arrive any more.
                let last = look == looks;
                let asked_ms = if last {
                    tried.arrives_until_ms() + 1
                } else {
                    tried.ended_ms + i64::from(look) * 200_000
                };
                now_ms = now_ms.max(asked_ms);
                made |= self.run(&mut coming, asked_ms);
                ours = self.look(Some(&tried), asked_ms);
                if !matches!(ours, Some(Ours::NotYet(_))) {
                    break;
                }
                assert!(!last, "a doubt without end");
            }
            let twin = self.has_a_twin(&tried, before);
            match ours {
                Some(Ours::Made(_)) => assert!(made || twin, "another's cancel was claimed: {tried:?}"),
                // The shop would send it again.
                Some(Ours::NotMade) => assert!(!made, "money would be sent twice: {tried:?}"),
                Some(Ours::Ambiguous) => self.ambiguous = true,
                other => panic!("{other:?}"),
            }
            assert!(self.ambiguous || self.sums_agree(), "{tried:?}");
            self.now_ms = now_ms;
            made |= self.run(&mut coming, self.now_ms);
            // A claim of a twin, and ours arrived later: it is another's then.
            assert!(!made || !matches!(ours, Some(Ours::NotMade)));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn no_foreign_cancel_is_claimed_and_nothing_is_sent_twice_and_every_doubt_ends(
            acts in prop::collection::vec(act(), 1..8),
            shape in prop::sample::select(vec![Shape::Full, Shape::NoNumbers, Shape::NoMoments, Shape::SumOnly]),
            skew_ms in -SKEW_MS..=SKEW_MS,
            start_ms in 0..1_000_i64,
        ) {
            let mut model = Model {
                shape, skew_ms, now_ms: 1_000_000_000 + start_ms, left: 1_000, there: Vec::new(), here: Vec::new(),
                ambiguous: false,
            };
            for act in acts {
                if model.ambiguous {
                    break;
                }
                match act {
                    Act::Admin { amount, after_ms } => {
                        model.now_ms += after_ms;
                        model.book(amount, model.now_ms, false);
                    }
                    Act::Host {
                        amount, after_ms, made_after_ms, admin, answered, looks, ended_after_ms, settles_after_ms,
                    } => {
                        model.now_ms += after_ms;
                        let began_ms = model.now_ms;
                        let (ended_ms, settles_ms) = (began_ms + ended_after_ms, began_ms + settles_after_ms);
                        let tried = Tried { amount, began_ms, ended_ms, settles_ms };
                        let ours = made_after_ms.map(|ms| (began_ms + ms, amount, true));
                        let admin = admin.map(|(amount, ms)| (began_ms + ms, amount, false));
                        model.host(tried, ours.into_iter().chain(admin).collect(), answered, looks);
                    }
                }
            }
            if !model.ambiguous {
                let now_ms = model.now_ms;
                model.look(None, now_ms);
                prop_assert!(model.sums_agree());
            }
        }
    }
}
