"""`POST /v1/audio/transcriptions` and `/v1/audio/translations`, which need a model of speech: shown by
the tests of the HTTP edge, whose model says what the samples are."""

from .rows import Route, proved_in

TESTS = "server/http/tests/api/audio"
EARLY = "a_recording_that_ends_early_is_written_as_far_as_it_goes"


def fields(file, shown):
    return [
        proved_in("file", f"{TESTS}/bad.rs", "fields_that_cannot_be_are_named", "required"),
        proved_in("file", f"{TESTS}/bad.rs", EARLY, "of one that ends early, what is there"),
        *(proved_in(name, f"{TESTS}/{file}", test, note) for name, test, note in shown),
    ]


FORMS = "each_form_says_the_same"
REACH = "fields_reach_the_model"
TRANSLATIONS = "translations_are_in_english"
WORDS = "words_have_times_where_they_are_asked_for"
FORMATS = "`json`, `text`, `srt`, `verbose_json`, `vtt`"

ROUTES = [
    Route(
        "POST /v1/audio/transcriptions",
        {},
        fields(
            "formats.rs",
            [
                ("model", FORMS, "required"),
                ("response_format", FORMS, FORMATS),
                ("language", REACH, "a code or an English name"),
                ("prompt", REACH, "its end, where it is long"),
                ("temperature", REACH, "0 to 1"),
                ("timestamp_granularities[]", REACH, "`segment`, with `verbose_json`"),
                ("timestamp_granularities[]", WORDS, "`word`, with `verbose_json`"),
                ("stream", "a_stream_says_it_as_it_is_found", "with `json`"),
            ],
        ),
    ),
    Route(
        "POST /v1/audio/translations",
        {},
        fields(
            "formats.rs",
            [
                ("model", TRANSLATIONS, "required"),
                ("response_format", TRANSLATIONS, FORMATS),
                ("prompt", TRANSLATIONS, ""),
                ("temperature", TRANSLATIONS, "0 to 1"),
            ],
        ),
    ),
]
