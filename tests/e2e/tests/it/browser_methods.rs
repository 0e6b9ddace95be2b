//! Every method in a real browser, on a computer and on a phone, from the checkout page to the result.
