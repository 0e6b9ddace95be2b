//! Banks and card companies. Invariant: they are known to shops by one code and two names, whatever their gateway calls them;
//! a plugin maps its gateway's codes to these, and what no public table has a code for has none here.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::host::Host;
use crate::http::auth::Caller;
use crate::http::problem::Problem;

/// Code, Korean name, English name.
pub type Row = (&'static str, &'static str, &'static str);

/// Banks by KFTC's code.
///
/// Source: the column of the gateways that use KFTC's three digits in PortOne's public table of bank codes
/// (`portone-io/developers.portone.io`, `src/routes/(root)/opi/ko/support/code-info/pg-1.mdx`). English names are the banks' own.
const BANKS: [Row; 22] = [
    ("002", "산업은행", "Korea Development Bank"),
    ("003", "기업은행", "Industrial Bank of Korea"),
    ("004", "국민은행", "KB Kookmin Bank"),
    ("007", "수협은행", "Suhyup Bank"),
    ("011", "농협은행", "NongHyup Bank"),
    ("012", "지역 농·축협", "Local Nonghyup"),
    ("020", "우리은행", "Woori Bank"),
    ("023", "SC제일은행", "SC Bank Korea"),
    ("027", "한국씨티은행", "Citibank Korea"),
    ("031", "iM뱅크(대구은행)", "iM Bank (Daegu)"),
    ("032", "부산은행", "Busan Bank"),
    ("034", "광주은행", "Kwangju Bank"),
    ("037", "전북은행", "Jeonbuk Bank"),
    ("039", "경남은행", "Kyongnam Bank"),
    ("045", "새마을금고", "MG Community Credit Cooperative"),
    ("048", "신협", "National Credit Union Federation"),
    ("071", "우체국", "Korea Post"),
    ("081", "하나은행", "Hana Bank"),
    ("088", "신한은행", "Shinhan Bank"),
    ("089", "케이뱅크", "K bank"),
    ("090", "카카오뱅크", "KakaoBank"),
    ("092", "토스뱅크", "Toss Bank"),
];

/// Card companies by KFTC's code.
///
/// Source: PortOne's public table of card codes (`portone-io/developers.portone.io`,
/// `src/routes/(root)/opi/ko/support/code-info/card-code.mdx`). English names are the companies' own.
const CARDS: [Row; 20] = [
    ("002", "KDB카드", "KDB Card"),
    ("041", "우리카드", "Woori Card"),
    ("045", "새마을금고카드", "MG Card"),
    ("048", "신협카드", "Credit Union Card"),
    ("071", "우체국카드", "Korea Post Card"),
    ("089", "케이뱅크카드", "K bank Card"),
    ("090", "카카오뱅크카드", "KakaoBank Card"),
    ("361", "BC카드", "BC Card"),
    ("364", "광주카드", "Kwangju Card"),
    ("365", "삼성카드", "Samsung Card"),
    ("366", "신한카드", "Shinhan Card"),
    ("367", "현대카드", "Hyundai Card"),
    ("368", "롯데카드", "Lotte Card"),
    ("369", "수협카드", "Suhyup Card"),
    ("370", "씨티카드", "Citi Card"),
    ("371", "NH농협카드", "NH Card"),
    ("372", "전북카드", "Jeonbuk Card"),
    ("373", "제주카드", "Jeju Card"),
    ("374", "하나카드", "Hana Card"),
    ("381", "KB국민카드", "KB Kookmin Card"),
];

/// Banks: code, Korean name, English name; by code.
pub fn banks() -> &'static [Row] {
    &BANKS
}

/// A bank or card company that payments name.
#[derive(Debug, Serialize, ToSchema)]
pub struct Listed {
    /// `bank` or `card`: the two share codes.
    pub kind: &'static str,
    /// KFTC's code.
    pub code: &'static str,
    /// Its name.
    pub name: Name,
}

/// A name in both languages.
#[derive(Debug, Serialize, ToSchema)]
pub struct Name {
    /// Korean.
    pub ko: &'static str,
    /// English.
    pub en: &'static str,
}

/// Every bank and card company.
#[derive(Debug, Serialize, ToSchema)]
pub struct Institutions {
    /// Banks, then card companies, each by code.
    pub data: Vec<Listed>,
}

/// Banks and card companies by KFTC's code, as payments, options and refund accounts name them.
#[utoipa::path(
    get, path = "/v1/institutions", tag = "set-up",
    responses((status = 200, body = Institutions), (status = "default", description = "A problem", body = Problem))
)]
pub async fn list(_: Caller) -> Json<Institutions> {
    let row = |kind| move |(code, ko, en): &Row| Listed { kind, code, name: Name { ko, en } };
    Json(Institutions { data: BANKS.iter().map(row("bank")).chain(CARDS.iter().map(row("card"))).collect() })
}

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Host> {
    OpenApiRouter::new().routes(routes!(list))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_three_digits_once_each_and_in_order() {
        for table in [&BANKS[..], &CARDS[..]] {
            assert!(
                table.iter().all(|(code, ..)| code.len() == 3 && code.bytes().all(|b| b.is_ascii_digit()))
            );
            assert!(table.windows(2).all(|pair| pair[0].0 < pair[1].0));
        }
    }
}
