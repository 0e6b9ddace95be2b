//! What is for sale. Invariant: these are the only prices in the shop; a form names a product, never a price.

use crate::page::Language;

/// Most pieces of one product in a cart.
pub const QUANTITY_MAX: i64 = 99;

/// One thing for sale.
pub struct Product {
    /// Its number in forms and addresses.
    pub number: i64,
    /// Name in Korean and English.
    name: (&'static str, &'static str),
    /// A line about it in Korean and English.
    about: (&'static str, &'static str),
    /// Won for one piece.
    pub price: i64,
    /// An SVG picture, written into the page.
    pub picture: &'static str,
}

impl Product {
    /// Its name.
    pub fn name(&self, language: &Language) -> &'static str {
        language.t(self.name.0, self.name.1)
    }

    /// A line about it.
    pub fn about(&self, language: &Language) -> &'static str {
        language.t(self.about.0, self.about.1)
    }
}

/// Everything for sale.
pub const PRODUCTS: &[Product] = &[
    Product {
        number: 1,
        name: ("수제 잼", "Handmade jam"),
        about: ("제철 딸기로 졸인 잼 250g", "Strawberries of the season, 250 g"),
        price: 8_900,
        picture: include_str!("pictures/jam.svg"),
    },
    Product {
        number: 2,
        name: ("원두 200g", "Coffee beans 200 g"),
        about: ("주문한 날 볶는 하우스 블렌드", "House blend, roasted on the day of your order"),
        price: 12_000,
        picture: include_str!("pictures/beans.svg"),
    },
    Product {
        number: 3,
        name: ("그림 엽서", "Postcard"),
        about: ("가게 풍경을 그린 엽서 한 장", "A drawing of our shop"),
        price: 1_000,
        picture: include_str!("pictures/postcard.svg"),
    },
    Product {
        number: 4,
        name: ("핸드드립 세트", "Pour-over set"),
        about: (
            "주전자, 드리퍼, 서버 (할부 가능 금액)",
            "Kettle, dripper and server (can be paid in instalments)",
        ),
        price: 120_000,
        picture: include_str!("pictures/dripper.svg"),
    },
    Product {
        number: 5,
        name: ("머그컵", "Mug"),
        about: ("손으로 빚은 도자기 컵 350ml", "Thrown by hand, 350 ml"),
        price: 18_000,
        picture: include_str!("pictures/mug.svg"),
    },
    Product {
        number: 6,
        name: ("에코백", "Tote bag"),
        about: ("두꺼운 면 캔버스 가방", "Heavy cotton canvas"),
        price: 25_000,
        picture: include_str!("pictures/bag.svg"),
    },
];

/// The product of that number.
pub fn product(number: i64) -> Option<&'static Product> {
    PRODUCTS.iter().find(|product| product.number == number)
}
