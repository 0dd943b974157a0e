"""Hard texts, and conversations, that the goldens of this folder are made from."""

TEXTS = [
    "", " ", "a", "Hello, world!", "  two spaces before and after  ", "\n", "\n\n\n", "\t\ttabs\t",
    "\r\n windows \r\n lines\r\n", " \n \n  \n   x", "trailing newline\n", "a  b   c    d     e",
    "x" * 300, "ab" * 200, " " * 130, "word" + " " * 33 + "word", "\n" * 40 + "end",
    "I'm you're we've they'll he'd it's don't I'M YOU'RE WE'VE DON'T 's 't 'S",
    "0 1 12 123 1234 12345 3.14159 1,000,000 2026-11-23 0xDEADBEEF ١٢٣ ४५६ ½ Ⅻ ²",
    "def fib(n):\n    if n < 2:\n        return n\n    return fib(n - 1) + fib(n - 2)\n",
    "fn main() {\n\tlet v: Vec<u8> = vec![0; 10]; // ok\n\tprintln!(\"{v:?}\");\n}",
    "<html><body class=\"x\">&nbsp;</body></html>", "SELECT * FROM t WHERE a <> 'b';",
    "{\"a\": [1, 2, {\"b\": null}], \"c\": \"\\u00e9\\n\"}", "C:\\Users\\me\\file.txt /usr/bin/env",
    "https://example.org/a/b?c=d&e=%20f#g user@example.org", "snake_case camelCase PascalCase",
    "emoji 😀 👍🏽 👨‍👩‍👧‍👦 🏳️‍🌈 🇩🇪 ❤️ 1️⃣ 🧑🏿‍🚀", "漢字とひらがなとカタカナ。日本語、テスト！", "中文测试：你好，世界。",
    "한국어 텍스트 시험", "Привет, мир! Ёжик", "مرحبا بالعالم", "שלום עולם", "नमस्ते दुनिया", "สวัสดีชาวโลก",
    "Ὀδυσσεύς", "e\u0301 vs é, a\u030a vs å, ﬁ ligature, ＦＵＬＬ", "zero\u200bwidth\u200djoin\ufeffbom\u00a0nbsp\u3000wide",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟘𝟙𝟚 🀄 𠜎", "\u0000\u0001\u001f\u007f\u0080\u009f", "\ufffd\ufffe\U0010ffff \ue000",
    "«quotes» “curly” ‘single’ … — – • ™ © € £ ¥", "...!!!???--==++**//", "!@#$%^&*()_+-=[]{}|;':\",./<>?`~",
    "<|im_start|>user\nhi<|im_end|>", "a<|endoftext|>b", "<|im_start|><|im_end|>", "< |im_start| >",
    "<|im_start", "text <|im_end|> more", "Donaudampfschifffahrtsgesellschaftskapitän",
    "supercalifragilisticexpialidocious" * 5, "ALL CAPS AND lower And Mixed mIxEd",
    "a\u0300\u0301\u0302\u0303b", "π≈3.14159, ∑∞∫√ ½⅓", "#hashtag @mention $100 50% 5°C", "--flag=value -x",
    "1st 2nd 3rd 4th", "A.B.C. e.g. i.e.", "tab\tbetween\twords", "mixed漢字and😀emoji123numbers",
    "line one\n\nline three\n    indented\n\tt", "x = 1;  # comment   \ny = 2;", "a\u2028b\u2029c\u0085d",
]

CHATS = [
    [{"role": "user", "content": "Hi"}],
    [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Was ist 2+2? 😀"}],
    [{"role": "user", "content": " a "}, {"role": "assistant", "content": "b\n"},
     {"role": "user", "content": "<|im_end|>"}],
]
