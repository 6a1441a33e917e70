//! What an application did against PEP 3333, in words that name the rule.

use std::fmt;

/// One way in which an application broke the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Breach {
    /// The clause, as `CONFORMANCE.md` numbers them: `49`, or `D16` for what is not PEP 3333 but every server relies on.
    pub clause: &'static str,
    /// Where the rule stands: a section of PEP 3333, or an RFC.
    pub section: &'static str,
    /// Whether it is forbidden, or only unwise.
    pub weight: Weight,
    /// What was got, and what was expected.
    pub text: String,
}

/// How much a [`Breach`] matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// The contract forbids it: on some server it fails. A [strict](super::Client::strict) client panics.
    Error,
    /// It works everywhere, but badly, or only by luck. Listed by [`Response::breaches`](super::Response::breaches) and nothing more.
    Warning,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Breach { clause, section, weight, text } = self;
        let weight = match weight {
            Weight::Error => "",
            Weight::Warning => "warning: ",
        };
        write!(f, "{weight}clause {clause} ({section}): {text}")
    }
}

/// A rule, to make breaches of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    clause: &'static str,
    section: &'static str,
    weight: Weight,
}

impl Rule {
    const fn must(clause: &'static str, section: &'static str) -> Rule {
        Rule { clause, section, weight: Weight::Error }
    }

    const fn should(clause: &'static str, section: &'static str) -> Rule {
        Rule { clause, section, weight: Weight::Warning }
    }

    /// Says how it was broken.
    pub(crate) fn broken(self, text: String) -> Breach {
        let Rule { clause, section, weight } = self;
        Breach { clause, section, weight, text }
    }

    pub(crate) const USED_AFTER: Rule = Rule::must("3", "The Application/Framework Side");
    pub(crate) const CALL_SHAPE: Rule = Rule::must("5", "Specification Details");
    pub(crate) const NATIVE_STR: Rule = Rule::must("6", "A Note On String Types");
    pub(crate) const STR_SUBCLASS: Rule = Rule::should("6", "A Note On String Types");
    pub(crate) const LATIN1: Rule = Rule::must("8", "Unicode Issues");
    pub(crate) const ITERABLE: Rule = Rule::must("10", "The Application/Framework Side");
    pub(crate) const AFTER_END: Rule = Rule::should("10", "The Application/Framework Side");
    pub(crate) const BYTES: Rule = Rule::must("11", "Unicode Issues");
    pub(crate) const LEN: Rule = Rule::must("12", "Specification Details");
    pub(crate) const INPUT_METHODS: Rule = Rule::must("38", "Input and Error Streams");
    pub(crate) const ERRORS_METHODS: Rule = Rule::must("39", "Input and Error Streams");
    pub(crate) const INPUT_END: Rule = Rule::should("40", "Input and Error Streams");
    pub(crate) const CLOSES_STREAM: Rule = Rule::must("46", "Input and Error Streams");
    pub(crate) const WRITE_SHAPE: Rule = Rule::must("47", "The start_response() Callable");
    pub(crate) const STATUS: Rule = Rule::must("48", "The start_response() Callable");
    pub(crate) const HEADERS: Rule = Rule::must("49", "The start_response() Callable");
    pub(crate) const HEADER_NAME: Rule = Rule::must("50", "The start_response() Callable");
    pub(crate) const HEADER_VALUE: Rule = Rule::must("51", "The start_response() Callable");
    pub(crate) const HOP_BY_HOP: Rule = Rule::must("54", "Other HTTP Features");
    pub(crate) const EXC_INFO: Rule = Rule::must("59", "The start_response() Callable");
    pub(crate) const TRAPPED: Rule = Rule::must("61", "The start_response() Callable");
    pub(crate) const TWICE: Rule = Rule::must("62", "The start_response() Callable");
    pub(crate) const STARTS_LATE: Rule = Rule::must("65", "Specification Details");
    pub(crate) const TOO_LONG: Rule = Rule::must("66", "Handling the Content-Length Header");
    pub(crate) const LENGTH: Rule = Rule::must("66", "Handling the Content-Length Header");
    pub(crate) const TOO_SHORT: Rule = Rule::must("67", "Handling the Content-Length Header");
    pub(crate) const CLOSE: Rule = Rule::must("81", "Specification Details");
    pub(crate) const WRITE_INSIDE: Rule = Rule::must("86", "The write() Callable");
    pub(crate) const NO_CONTENT: Rule = Rule::should("D16", "RFC 9110, 6.4.1");
    pub(crate) const CONTENT_TYPE: Rule = Rule::should("D16", "RFC 9110, 8.3");
}
