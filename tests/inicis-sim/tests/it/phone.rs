//! A strict client of the simulator's phone side.

use encoding_rs::EUC_KR;
use inicis_sim::hash;
use serde_json::{Value, json};

use crate::rig::{MID, Pairs, Rig, get, pairs, set};

pub const HASH_KEY: &str = "3CB8183A4BE283555ACC8363C0360223";
pub const NEXT: &str = "https://shop.example.com/return/1";

impl Rig {
    /// A form of a phone that INICIS accepts.
    pub fn phone_form(&self, payment: &str, oid: &str, amount: &str) -> Pairs {
        let timestamp = self.now_ms().to_string();
        let chkfake = hash::chkfake(amount, oid, &timestamp, HASH_KEY);
        pairs([
            ("P_INI_PAYMENT", payment),
            ("P_MID", MID),
            ("P_OID", oid),
            ("P_AMT", amount),
            ("P_GOODS", "테스트 상품"),
            ("P_UNAME", "홍길동"),
            ("P_MOBILE", "010-1234-5678"),
            ("P_EMAIL", "buyer@example.com"),
            ("P_NEXT_URL", NEXT),
            ("P_NOTI_URL", "https://shop.example.com/notify/1"),
            ("P_NOTI", "checkout=1"),
            ("P_HPP_METHOD", "2"),
            ("P_RESERVED", "centerCd=Y&amt_hash=Y&twotrs_isp=Y&twotrs_bank=Y&below1000=Y"),
            ("P_TIMESTAMP", &timestamp),
            ("P_CHKFAKE", &chkfake),
        ])
    }

    /// The fields that the phone's browser posts to P_NEXT_URL.
    pub async fn phone_posted(&self, form: &Pairs, choice: Value) -> Pairs {
        let (status, body) = self.window(form, choice).await;
        assert_eq!(status.as_u16(), 200, "{body}");
        assert_eq!(body["return_url"], NEXT, "{body}");
        serde_json::from_value(body["fields"].clone()).unwrap()
    }

    pub async fn phone_auth(&self, payment: &str, oid: &str, amount: &str) -> Pairs {
        let form = self.phone_form(payment, oid, amount);
        self.phone_posted(&form, json!({"choice": "pay"})).await
    }

    /// Calls P_REQ_URL with a form and reads the text answer in EUC-KR.
    pub async fn phone_call(&self, url: &str, fields: &Pairs) -> Pairs {
        let bytes = self.send(url, fields).await.unwrap().bytes().await.unwrap();
        text_pairs(&EUC_KR.decode(&bytes).0)
    }

    pub async fn phone_approve(&self, post: &Pairs) -> Pairs {
        let request = pairs([("P_MID", MID), ("P_TID", get(post, "P_TID"))]);
        self.phone_call(get(post, "P_REQ_URL"), &request).await
    }

    pub async fn phone_sale(&self, payment: &str, oid: &str, amount: &str) -> Pairs {
        let post = self.phone_auth(payment, oid, amount).await;
        let answer = self.phone_approve(&post).await;
        assert_eq!(get(&answer, "P_STATUS"), "00", "{answer:?}");
        answer
    }

    /// The net cancel of an authentication.
    pub fn phone_net_cancel(&self, post: &Pairs, oid: &str) -> (String, Pairs) {
        let (amount, timestamp) = (get(post, "P_AMT"), self.now_ms().to_string());
        let fields = pairs([
            ("P_TID", get(post, "P_TID")),
            ("P_MID", MID),
            ("P_AMT", amount),
            ("P_OID", oid),
            ("P_TIMESTAMP", &timestamp),
            ("P_CHKFAKE", &hash::chkfake(amount, oid, &timestamp, HASH_KEY)),
        ]);
        (get(post, "P_REQ_URL").replace("payReq", "payNetCancel"), fields)
    }
}

/// A text answer as it is: nothing in it is encoded.
pub fn text_pairs(text: &str) -> Pairs {
    pairs(text.split('&').filter_map(|pair| pair.split_once('=')))
}

/// A form with another value, signed again.
pub fn with(mut form: Pairs, name: &str, value: &str) -> Pairs {
    set(&mut form, name, value);
    form
}
