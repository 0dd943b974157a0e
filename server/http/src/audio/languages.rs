//! Names of languages: what a form may call one, and what an answer does.
//!
//! Invariant: codes and English names are those of openai-whisper.

use engine_core::SpeechInfo;

use crate::ApiError;

/// Codes and names, by code.
const NAMES: [(&str, &str); 100] = [
    ("af", "afrikaans"),
    ("am", "amharic"),
    ("ar", "arabic"),
    ("as", "assamese"),
    ("az", "azerbaijani"),
    ("ba", "bashkir"),
    ("be", "belarusian"),
    ("bg", "bulgarian"),
    ("bn", "bengali"),
    ("bo", "tibetan"),
    ("br", "breton"),
    ("bs", "bosnian"),
    ("ca", "catalan"),
    ("cs", "czech"),
    ("cy", "welsh"),
    ("da", "danish"),
    ("de", "german"),
    ("el", "greek"),
    ("en", "english"),
    ("es", "spanish"),
    ("et", "estonian"),
    ("eu", "basque"),
    ("fa", "persian"),
    ("fi", "finnish"),
    ("fo", "faroese"),
    ("fr", "french"),
    ("gl", "galician"),
    ("gu", "gujarati"),
    ("ha", "hausa"),
    ("haw", "hawaiian"),
    ("he", "hebrew"),
    ("hi", "hindi"),
    ("hr", "croatian"),
    ("ht", "haitian creole"),
    ("hu", "hungarian"),
    ("hy", "armenian"),
    ("id", "indonesian"),
    ("is", "icelandic"),
    ("it", "italian"),
    ("ja", "japanese"),
    ("jw", "javanese"),
    ("ka", "georgian"),
    ("kk", "kazakh"),
    ("km", "khmer"),
    ("kn", "kannada"),
    ("ko", "korean"),
    ("la", "latin"),
    ("lb", "luxembourgish"),
    ("ln", "lingala"),
    ("lo", "lao"),
    ("lt", "lithuanian"),
    ("lv", "latvian"),
    ("mg", "malagasy"),
    ("mi", "maori"),
    ("mk", "macedonian"),
    ("ml", "malayalam"),
    ("mn", "mongolian"),
    ("mr", "marathi"),
    ("ms", "malay"),
    ("mt", "maltese"),
    ("my", "myanmar"),
    ("ne", "nepali"),
    ("nl", "dutch"),
    ("nn", "nynorsk"),
    ("no", "norwegian"),
    ("oc", "occitan"),
    ("pa", "punjabi"),
    ("pl", "polish"),
    ("ps", "pashto"),
    ("pt", "portuguese"),
    ("ro", "romanian"),
    ("ru", "russian"),
    ("sa", "sanskrit"),
    ("sd", "sindhi"),
    ("si", "sinhala"),
    ("sk", "slovak"),
    ("sl", "slovenian"),
    ("sn", "shona"),
    ("so", "somali"),
    ("sq", "albanian"),
    ("sr", "serbian"),
    ("su", "sundanese"),
    ("sv", "swedish"),
    ("sw", "swahili"),
    ("ta", "tamil"),
    ("te", "telugu"),
    ("tg", "tajik"),
    ("th", "thai"),
    ("tk", "turkmen"),
    ("tl", "tagalog"),
    ("tr", "turkish"),
    ("tt", "tatar"),
    ("uk", "ukrainian"),
    ("ur", "urdu"),
    ("uz", "uzbek"),
    ("vi", "vietnamese"),
    ("yi", "yiddish"),
    ("yo", "yoruba"),
    ("yue", "cantonese"),
    ("zh", "chinese"),
];

/// The English name of a language that has one here, or else its code.
pub(super) fn name(code: &str) -> &str {
    let found = NAMES.binary_search_by_key(&code, |(code, _)| code);
    found.map_or(code, |idx| NAMES[idx].1)
}

/// The code of a language that the model knows, by its code or its English name.
pub(super) fn known(info: &SpeechInfo, asked: &str) -> Result<String, ApiError> {
    let asked = asked.to_lowercase();
    let code = NAMES.iter().find(|(_, name)| *name == asked).map_or(&*asked, |(code, _)| *code);
    let is_known = match info.is_multilingual() {
        true => info.languages.iter().any(|language| language == code),
        false => code == "en",
    };
    match (is_known, info.is_multilingual()) {
        (true, _) => Ok(code.to_owned()),
        (false, true) => {
            let message = "'language' must be the ISO 639-1 code of a language that the model \
                           knows, such as 'en'.";
            Err(ApiError::invalid(Some("language"), message))
        }
        (false, false) => {
            let message = "The model knows English alone: 'language' must be 'en'.";
            Err(ApiError::invalid(Some("language"), message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_and_have_names() {
        assert!(NAMES.is_sorted());
        assert_eq!((name("en"), name("yue"), name("xx")), ("english", "cantonese", "xx"));
    }
}
