//! Show 3: whatever order the API takes, the gateway takes the form that is made of it. The orders are drawn from a seed over
//! everything that the API has a member for; `ORDERS_SEED` and `ORDERS` in the environment draw others.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use crate::stage::html::{form_charset, hidden_fields, visible};
use crate::stage::sale::stage;
use crate::stage::text;

/// Cases of a run, unless `ORDERS` says otherwise.
const CASES: u64 = 160;

const AGENTS: [(&str, &str); 2] = [
    ("pc", "Mozilla/5.0 (X11; Linux x86_64) Chrome/150"),
    ("mobile", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile/15E148 Safari/604.1"),
];

/// A member that may be left out.
fn maybe(value: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Option<Value>> {
    proptest::option::of(value).boxed()
}

fn words() -> BoxedStrategy<Value> {
    prop_oneof![
        4 => "[가-힣A-Za-z0-9 ]{1,60}",
        2 => "\\PC{1,255}",
        1 => select(vec!["\"><script>", "a&b=c%26+d", "🎁 선물 👨‍👩‍👧", "똠방각하 뷁", "O'Brien; --", "\u{200b}", "?", "ﷺ",
            "\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af}", "봄–가을 “차”\u{a0}₩9,900", "이름\r\n"])
            .prop_map(str::to_owned),
        1 => "[가-힣]{200,255}",
    ]
    .prop_map(Value::from)
    .boxed()
}

fn method() -> BoxedStrategy<Value> {
    // `points` alone opens POINT, which the simulator does not have.
    let pairs = vec![
        ("card", None),
        ("card", None),
        ("transfer", None),
        ("virtual_account", None),
        ("phone", None),
        ("easy_pay", None),
        ("easy_pay", Some("kakaopay")),
        ("easy_pay", Some("naverpay")),
        ("easy_pay", Some("samsungpay")),
        ("easy_pay", Some("payco")),
        ("easy_pay", Some("tosspay")),
        ("easy_pay", Some("ssgpay")),
        ("easy_pay", Some("lpay")),
        ("easy_pay", Some("chai")),
        ("easy_pay", Some("applepay")),
        ("gift_voucher", None),
        ("gift_voucher", Some("cultureland")),
        ("gift_voucher", Some("smart_culture")),
        ("gift_voucher", Some("happymoney")),
        ("gift_voucher", Some("booknlife")),
        ("points", Some("ok_cashbag")),
        ("points", Some("gs")),
        ("points", Some("u_point")),
        ("card", Some("nobody")),
    ];
    select(pairs).prop_map(|(kind, provider)| json!({"kind": kind, "provider": provider})).boxed()
}

fn amount() -> BoxedStrategy<Value> {
    let total = prop_oneof![
        2 => 1..1_000_i64,
        6 => 1_000..200_000_i64,
        2 => 1..=99_999_999_i64,
        1 => 99_999_999..=1_000_000_000_000_i64,
    ];
    let currency =
        prop_oneof![12 => Just(None), 2 => Just(Some("KRW")), 1 => Just(Some("USD")), 1 => Just(Some("JPY"))];
    // In hundredths of the total; most are what a tax can be.
    let part =
        || proptest::option::weighted(0.3, prop_oneof![6 => 0..=9_i64, 2 => Just(10_i64), 1 => 10..=101_i64]);
    (total, currency, part(), part())
        .prop_map(|(total, currency, free, vat)| {
            let of = |part: Option<i64>| part.map(|hundredths| total * hundredths / 100);
            let mut amount = json!({"total": total});
            if let Some(currency) = currency {
                amount["currency"] = json!(currency);
            }
            if free.is_some() || vat.is_some() {
                amount["tax"] = json!({"free": of(free), "vat": of(vat)});
            }
            amount
        })
        .boxed()
}

fn buyer() -> BoxedStrategy<Value> {
    let phone = prop_oneof![
        3 => "01[016]-[0-9]{4}-[0-9]{4}",
        1 => "\\+82 10 [0-9]{4} [0-9]{4}",
        1 => "\\PC{1,60}",
        1 => "[0-9]{21,40}",
        1 => "-{1,30}",
    ];
    let email = prop_oneof![
        3 => "[a-z0-9._-]{1,20}@[a-z]{1,10}\\.(com|kr|example)",
        1 => "[a-z+!#]{1,20}@한글\\.kr",
        1 => "\\PC{1,80}",
        1 => "[a-z]{50,60}@[a-z]{5,20}\\.kr",
    ];
    (maybe(words()), maybe(phone.prop_map(Value::from)), maybe(email.prop_map(Value::from)))
        .prop_map(|(name, phone, email)| json!({"name": name, "phone": phone, "email": email}))
        .boxed()
}

/// One option by name; most values are good ones.
fn option() -> BoxedStrategy<(String, Value)> {
    let fixed = |name: &'static str, values: Vec<Value>| {
        select(values).prop_map(move |value| (name.to_owned(), value)).boxed()
    };
    let cards =
        || vec!["01", "03", "04", "06", "11", "12", "14", "16", "17", "34", "367", "366", "381", "99"];
    let months = || proptest::collection::vec(1_u64..=37, 0..5);
    let quota = months().prop_map(|list| ("card_quota".to_owned(), json!(list))).boxed();
    let allowed = proptest::collection::vec(select(cards()), 0..4)
        .prop_map(|list| ("allowed_cards".to_owned(), json!(list)))
        .boxed();
    let direct = (select(cards()), proptest::option::of(0_u64..=13))
        .prop_map(|(code, quota)| ("direct_card".to_owned(), json!({"code": code, "quota": quota})))
        .boxed();
    let free = (select(cards()), months())
        .prop_map(|(code, list)| ("interest_free".to_owned(), json!({code: list})))
        .boxed();
    let switches = ["card_points", "no_easy_pay", "deposit_cash_receipt", "transfer_cash_receipt", "escrow"];
    let switch =
        (select(switches.to_vec()), select(vec![json!(true), json!(false), json!(false), json!("yes")]))
            .prop_map(|(name, on)| (name.to_owned(), on))
            .boxed();
    prop_oneof![
        2 => quota,
        2 => allowed,
        2 => direct,
        2 => free,
        4 => switch,
        1 => fixed("interest_free", vec![json!(7), json!(1), json!("all")]),
        1 => fixed("service_period", vec![json!("M2"), json!("Y1"), json!("Y0"), json!("M999"), json!("20260101-20261231"), json!({"from": "20260101", "to": "20260102"}), json!("D1")]),
        1 => fixed("phone_goods", vec![json!("digital"), json!("physical"), json!("both")]),
        1 => fixed("deposit_deadline", vec![json!("20991231"), json!("209912312359"), json!("2099-12-31 10:00"), json!("2099-12-31T23:59:00+09:00"), json!("20200101"), json!("99999999"), json!("20260230")]),
        1 => fixed("skin", vec![json!("#C1272C"), json!("red")]),
        1 => fixed("logo_url", vec![json!("https://shop.example/logo.png?a=1&b=2"), json!("x")]),
        1 => fixed("logo_2nd", vec![json!("https://shop.example/logo.png")]),
        1 => fixed("app_scheme", vec![json!("shop://"), json!("daumapps://open"), json!("a&b://")]),
        1 => fixed("app_base", vec![json!("ON"), json!("a b")]),
        1 => fixed("bypass", vec![
            json!({"pc": {"acceptmethod": ["hidebar", "usespcp"]}, "mobile": {"P_RESERVED": ["iosapp=Y"]}}),
            json!({"pc": {"acceptmethod": "CARDPOINT:cardshowopt(04-6)"}, "mobile": {"P_RESERVED": "dcp_yn=Y&cardshowopt=04:6"}}),
            json!({"pc": {"parentemail": "a@example.com"}, "mobile": {"P_MNAME": "작은 가게 🛒"}}),
            json!({"pc": {"price": "1"}, "mobile": {"P_AMT": "1"}}),
            json!({"pc": {"ini_PAYSHOT_KEY": "x&y"}, "mobile": {"P_PAYSHOT_KEY": "x"}}),
        ]),
        1 => fixed("colour", vec![json!("red")]),
    ]
    .boxed()
}

/// An order as a shop may post it; the number makes it an order of its own.
fn order() -> BoxedStrategy<Value> {
    let device = select(vec![Value::Null, json!("pc"), json!("pc"), json!("mobile"), json!("mobile")]);
    let number = prop_oneof!["[A-Za-z0-9_-]{0,58}", "\\PC{0,58}"];
    let options = proptest::collection::vec(option(), 0..3);
    let language = select(vec!["ko", "en"]);
    (number, words(), amount(), buyer(), maybe(method()), device, (options, language, any::<bool>()))
        .prop_map(|(number, name, amount, buyer, method, device, (options, language, manual))| {
            json!({
                "order_id": number, "order_name": name, "amount": amount, "buyer": buyer, "method": method, "device": device,
                "language": language, "confirm": if manual { "manual" } else { "automatic" },
                "options": options.into_iter().collect::<serde_json::Map<_, _>>(),
            })
        })
        .boxed()
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn any_order_that_the_api_takes_gives_a_form_that_the_gateway_takes() {
    let stage = stage().await;
    let (seed, cases) = (number("ORDERS_SEED", 20_261_122), number("ORDERS", CASES));
    println!("ORDERS_SEED={seed} ORDERS={cases}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    // The other half of the shops wants a phone's results in EUC-KR.
    let euc_kr = stage.new_shop("옛날 가게", json!({"mobile_charset": "euc-kr"})).await;
    let (mut windows, mut refused, mut wrong) = ([0, 0], 0, Vec::new());
    for case in 0..cases {
        let mut body = order().new_tree(&mut runner).unwrap().current();
        body["order_id"] = json!(format!("{case}-{}", body["order_id"].as_str().unwrap()));
        let shop = if case % 2 == 0 { &stage.shop } else { &euc_kr };
        let made = stage.call("POST", "/v1/payments").key(&shop.key).json(&body).send().await;
        if made.status != 201 {
            let problem: Value = serde_json::from_str(&made.text).unwrap();
            if made.status != 400 || problem["field"].as_str().is_none_or(str::is_empty) {
                wrong.push(format!("refused without a member at fault: {problem}\n  {body}"));
            }
            refused += 1;
            continue;
        }
        let created = made.json();
        for (at, (device, agent)) in AGENTS.into_iter().enumerate() {
            if body["device"].as_str().is_some_and(|chosen| chosen != device) {
                continue;
            }
            let url = text(&created, "checkout_url");
            let page = stage.call("POST", &url).header("user-agent", agent).form(&[]).send().await;
            if page.status != 200 {
                wrong.push(format!("no window ({device}): {}\n  {body}", visible(&page.text)));
                continue;
            }
            let fields = hidden_fields(&page.text);
            let choice = json!({"choice": "cancel", "form_charset": form_charset(&page.text)});
            let answer = stage.play(&fields, choice).await;
            if answer.status != 200 {
                wrong
                    .push(format!("the gateway refused ({device}): {}\n  {body}\n  {fields:?}", answer.text));
            }
            windows[at] += 1;
        }
    }
    println!("{windows:?} windows on PC and phone, {refused} orders refused by the API");
    assert!(wrong.is_empty(), "{} of {cases} cases of seed {seed}:\n{}", wrong.len(), wrong.join("\n"));
    // A property of nothing is none.
    let least = usize::try_from(cases).unwrap() / 5;
    assert!(windows.iter().all(|seen| *seen >= least) && refused >= 1, "{windows:?} {refused}");
}
