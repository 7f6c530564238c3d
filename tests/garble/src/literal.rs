//! What a value may say instead.

use proptest::prelude::*;

/// Texts, as JSON.
pub(crate) const TEXTS: &[&str] = &[
    r#""""#,
    r#"" ""#,
    r#""7""#,
    r#""-1""#,
    r#""18446744073709551615""#,
    r#""18446744073709551616""#,
    r#""00000000000000000000000000000007""#,
    r#""1e5""#,
    r#""NaN""#,
    r#""true""#,
    r#""null""#,
    r#""2026-11-23""#,
    r#""2026-02-30""#,
    r#""9999-12-31""#,
    r#""2026-11-23T10:00:00Z""#,
    r#""2026-11-23T10:00:60+25:00""#,
    r#""9999-12-30T22:00:00Z""#,
    r#""-009999-01-02T01:59:59Z""#,
    r#""2026-11-23T10:00:00""#,
    r#""Europe/Nowhere""#,
    r#""\u0000""#,
    r#""\ud800""#,
    r#""\udc00\ud800""#,
    r#""\ud83d\ude00""#,
    r#""e\u0301""#,
    r#""\u0130\u00df\ufb01""#,
    r#""\u202eabc\u2066""#,
    r#""\ufeff""#,
    r#""\u200b""#,
    r#""\uffff""#,
    r#""\\'\"`""#,
    r#""' or 1=1 --""#,
    r#""<script>alert(1)</script>""#,
    r#""a\r\nSet-Cookie: a=b""#,
    r#""../../etc/passwd""#,
    r#""%00%ff""#,
    r##""#\u0023$""##,
    r#""ada@example.com""#,
];

/// Everything else, as JSON.
const OTHERS: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "-0",
    "-0.0",
    "1",
    "-1",
    "1.5",
    "255",
    "256",
    "2147483648",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "18446744073709551616",
    "79228162514264337593543950335",
    "79228162514264337593543950336",
    "0.00000000000000000000000000001",
    "1e28",
    "1e308",
    "1e999",
    "-1e999",
    "1e-999",
    "1E+2",
    "01",
    "+1",
    ".5",
    "NaN",
    "[]",
    "{}",
    "[[]]",
    "[null]",
    "[{}]",
    r#"{"":null}"#,
    r#"{"id":null}"#,
    r#"{"id":"7"}"#,
    r#"{"id":7,"id":8}"#,
    r#"{"id":{"id":{"id":"7"}}}"#,
    r#"["a","a"]"#,
    r#"[{"name":"a"},{"name":null}]"#,
];

/// A text.
pub(crate) fn text() -> impl Strategy<Value = String> {
    let any = ".{0,12}".prop_map(|text| serde_json::Value::from(text).to_string());
    let long = (1_usize..4).prop_map(|times| format!("\"{}\"", "long ä ".repeat(times * 700)));
    prop_oneof![
        8 => prop::sample::select(TEXTS).prop_map(str::to_owned),
        2 => any,
        1 => long,
    ]
}

/// A value.
pub(crate) fn value() -> impl Strategy<Value = String> {
    let digits = (1_usize..500).prop_map(|number| "9".repeat(number));
    prop_oneof![
        6 => prop::sample::select(OTHERS).prop_map(str::to_owned),
        6 => text(),
        1 => any::<i64>().prop_map(|number| number.to_string()),
        1 => any::<f64>().prop_map(|number| serde_json::Value::from(number).to_string()),
        1 => digits,
    ]
}
