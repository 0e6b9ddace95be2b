//! Invariant: a window shows exactly its [`Offer`]; PC and phone share the panels of the methods.

use crate::codes;
use crate::method::{self, EASY_PAY};
use crate::offer::Offer;

/// A card company in the list.
pub struct Card {
    /// §8.2.
    pub code: String,
    /// Name.
    pub name: &'static str,
    /// Preselected.
    pub selected: bool,
    /// Not with a test merchant.
    pub disabled: bool,
}

/// A method in the list.
pub struct Row {
    /// Value of the field `method`.
    pub name: &'static str,
    /// For people.
    pub label: &'static str,
}

/// Words of the window in the buyer's language. `cn` is known from memory only (§1.2) and gets Korean.
pub struct Words {
    /// BCP 47.
    pub lang: &'static str,
    /// Heading.
    pub title: &'static str,
    /// Heading of the order.
    pub order: &'static str,
    /// Goods.
    pub goods: &'static str,
    /// Buyer.
    pub buyer: &'static str,
    /// Order number.
    pub number: &'static str,
    /// Amount.
    pub amount: &'static str,
    /// Card company.
    pub card: &'static str,
    /// Instalments.
    pub quota: &'static str,
    /// Consent.
    pub agree: &'static str,
    /// Button.
    pub pay: &'static str,
    /// Button.
    pub cancel: &'static str,
}

const KOREAN: Words = Words {
    lang: "ko",
    title: "결제수단 선택",
    order: "주문 정보",
    goods: "상품명",
    buyer: "구매자",
    number: "주문번호",
    amount: "결제금액",
    card: "카드사",
    quota: "할부",
    agree: "결제 서비스 이용약관에 모두 동의합니다",
    pay: "결제하기",
    cancel: "취소",
};

const ENGLISH: Words = Words {
    lang: "en",
    title: "Payment method",
    order: "Your order",
    goods: "Goods",
    buyer: "Buyer",
    number: "Order number",
    amount: "Amount",
    card: "Card company",
    quota: "Instalments",
    agree: "I agree to the terms of the payment service",
    pay: "Pay",
    cancel: "Cancel",
};

/// What the panels show.
pub struct View {
    /// Words.
    pub words: &'static Words,
    /// Methods; the first is chosen.
    pub methods: Vec<Row>,
    /// Card companies.
    pub cards: Vec<Card>,
    /// Instalments: value and text.
    pub quotas: Vec<(String, String)>,
    /// Wallets: source code and name.
    pub wallets: Vec<(&'static str, &'static str)>,
    /// Money of wallets: card code and name.
    pub money: Vec<(&'static str, &'static str)>,
    /// Banks.
    pub banks: &'static [(&'static str, &'static str)],
    /// Telephone companies.
    pub telcos: Vec<&'static str>,
    /// Whether card points may be used.
    pub points: bool,
    /// Methods with which a cash receipt may be asked for.
    pub receipt_for: String,
    /// Deadline for people.
    pub due: String,
    /// Declines: code and text.
    pub declines: Vec<(String, &'static str)>,
    /// What else the request asked for: name and text.
    pub notes: Vec<(&'static str, String)>,
    /// Colour of the heading.
    pub skin: String,
    /// Logo of the shop.
    pub logo: String,
}

impl View {
    /// A view of an offer.
    #[must_use]
    pub fn new(offer: &Offer, language: &str) -> Self {
        let english = language == "en";
        let label = |name: &&'static str| Row {
            name,
            label: match method::by_name(name) {
                Some(method) if english => method.english,
                Some(method) => method.label,
                None if english => "Easy pay",
                None => "간편결제",
            },
        };
        let cards = offer.cards.iter().map(|code| Card {
            code: code.clone(),
            name: codes::card_name(code).unwrap_or("하나"),
            selected: offer.preselected.as_ref() == Some(code),
            disabled: offer.test && code == codes::CARD_KB,
        });
        let quotas = offer.quotas.iter().map(|quota| {
            let months = quota.trim_start_matches('0');
            let text = match (months.is_empty(), english) {
                (true, true) => "Single payment".to_owned(),
                (true, false) => "일시불".to_owned(),
                (false, true) => format!("{months} months"),
                (false, false) => format!("{months}개월"),
            };
            (quota.clone(), text)
        });
        let first = offer.methods.first().and_then(|name| method::by_name(name));
        let network = first.unwrap_or(method::CARD).network;
        let declines = codes::DECLINES.iter().map(|suffix| {
            let code = format!("{network}{suffix}");
            let text = codes::text(&code);
            (code, text)
        });
        let money = offer.wallets.iter().filter_map(|wallet| wallet.money);
        Self {
            words: if english { &ENGLISH } else { &KOREAN },
            methods: offer.methods.iter().map(label).collect(),
            cards: cards.collect(),
            quotas: quotas.collect(),
            wallets: offer.wallets.iter().map(|wallet| (wallet.code, wallet.label)).collect(),
            money: money.map(|code| (code, codes::card_name(code).unwrap_or_default())).collect(),
            banks: codes::BANKS,
            telcos: offer.telcos.clone(),
            points: offer.points,
            receipt_for: receipt_for(offer),
            due: readable(&offer.due),
            declines: declines.collect(),
            notes: Vec::new(),
            skin: String::new(),
            logo: String::new(),
        }
    }

    /// Shows one more thing that the request asked for, if it did.
    pub fn note(&mut self, name: &'static str, text: impl Into<String>) {
        let text = text.into();
        if !text.is_empty() {
            self.notes.push((name, text));
        }
    }

    /// Takes a colour like `#C1272C`; anything else is ignored.
    pub fn paint(&mut self, colour: &str) {
        let hex = colour.strip_prefix('#').unwrap_or_default();
        if hex.len() == 6 && hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            colour.clone_into(&mut self.skin);
        }
    }

    /// Whether the window has a method.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.methods.iter().any(|row| row.name == name)
    }

    /// Whether a card or a card inside of a wallet can be chosen.
    #[must_use]
    pub fn has_cards(&self) -> bool {
        self.has("Card") || self.has(EASY_PAY)
    }

    /// Whether a bank can be chosen.
    #[must_use]
    pub fn has_banks(&self) -> bool {
        self.has("DirectBank") || self.has("VBank")
    }

    /// Months that are free of interest, for people.
    pub fn interest(&mut self, offer: &Offer) {
        let text = offer.interest_free.iter().map(|(card, months)| {
            let months: Vec<String> = months.iter().map(u32::to_string).collect();
            format!("{} {}개월", codes::card_name(card).unwrap_or("하나"), months.join("·"))
        });
        self.note("무이자", text.collect::<Vec<_>>().join(", "));
    }
}

fn receipt_for(offer: &Offer) -> String {
    let forms = [("DirectBank", offer.receipt), ("VBank", offer.vbank_receipt)];
    let offered = forms.iter().filter(|(name, form)| *form && offer.methods.contains(name));
    offered.map(|(name, _)| *name).collect::<Vec<_>>().join(" ")
}

/// `2026-01-02 23:59` of `202601022359`.
pub fn readable(due: &str) -> String {
    let at = |from: usize, to: usize| due.get(from..to).unwrap_or_default();
    format!("{}-{}-{} {}:{}", at(0, 4), at(4, 6), at(6, 8), at(8, 10), at(10, 12))
}
