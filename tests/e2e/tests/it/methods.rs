//! Every method and option over HTTP.
use serde_json::{Value, json};

use crate::stage::buyer::Outcome;
use crate::stage::{Stage, text};

async fn go(stage: &Stage, order_id: &str, more: Value, choice: Value) -> (Value, Outcome) {
    let created = stage.create_as(&stage.shop, order_id, more).await.expect(201);
    let window = stage.open(&created).await;
    let back = stage.choose(&window, choice).await;
    let outcome = stage.come_back(&back).await;
    (stage.payment(&created).await, outcome)
}

#[tokio::test(flavor = "multi_thread")]
async fn dump() {
    let stage = Stage::start().await;
    for device in ["pc", "mobile"] {
        for (kind, provider, choice) in [
            ("card", None, json!({"card": "04", "quota": "03"})),
            ("card", None, json!({"card": "11", "points": 0, "coupon": 900})),
            ("transfer", None, json!({"bank": "88", "receipt": "0"})),
            ("phone", None, json!({"telco": "KTF"})),
            ("easy_pay", Some("kakaopay"), json!({})),
            ("easy_pay", Some("kakaopay"), json!({"card": "97"})),
            ("easy_pay", Some("naverpay"), json!({})),
            ("easy_pay", Some("tosspay"), json!({})),
            ("easy_pay", Some("chai"), json!({})),
            ("gift_voucher", Some("cultureland"), json!({})),
            ("gift_voucher", Some("happymoney"), json!({})),
            ("gift_voucher", Some("booknlife"), json!({})),
            ("gift_voucher", Some("smart_culture"), json!({})),
            ("virtual_account", None, json!({"bank": "04", "depositor": "홍길동"})),
        ] {
            let label = format!("{device} {kind} {provider:?} {choice}");
            let mut choice = choice;
            choice["choice"] = json!("pay");
            let order = json!({"device": device, "method": {"kind": kind, "provider": provider}});
            let created = stage.create_as(&stage.shop, &label.chars().take(64).collect::<String>(), order).await;
            if created.status != 201 {
                eprintln!("#### {label}: create {} {}", created.status, created.text);
                continue;
            }
            let created = created.json();
            let page = stage.open_page(&text(&created, "checkout_url")).await;
            if page.status != 200 {
                eprintln!("#### {label}: open {} {:?}", page.status, stage.timeline(&stage.shop, &created).await.last());
                continue;
            }
            let fields = crate::stage::html::hidden_fields(&page.text);
            eprintln!("#### {label}: {:?}", fields.iter().filter(|(n, _)| ["gopaymethod", "acceptmethod", "P_INI_PAYMENT", "P_RESERVED", "P_HPP_METHOD"].contains(&n.as_str())).collect::<Vec<_>>());
            let answer = stage.play(&fields, choice).await;
            if answer.status != 200 {
                eprintln!("  window {} {}", answer.status, answer.text);
                continue;
            }
            let answer = answer.json();
            let back = crate::stage::buyer::Return { url: text(&answer, "return_url"), fields: serde_json::from_value(answer["fields"].clone()).unwrap() };
            let outcome = stage.come_back(&back).await;
            let payment = stage.payment(&created).await;
            eprintln!("  {} {}\n  {payment}", outcome.result, outcome.words);
            let gone = stage.cancel(&stage.shop, &payment, "k").await;
            eprintln!("  cancel {} {}", gone.status, if gone.status == 200 { "" } else { &gone.text });
        }
    }
}
