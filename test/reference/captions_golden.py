"""
What Show-1's (DeepFloyd IF's) caption cleaning makes of difficult captions, and ftfy and BeautifulSoup of their parts.

    pip install diffusers==0.19.3 transformers==4.29.1 ftfy==6.3.1 beautifulsoup4==4.15.0
    python test/reference/captions_golden.py

writes test/models/text/fixtures/captions.json: captions as [text, cleaned once, cleaned twice, lower case], fixText and
html as [text, result]. The cleaning itself is diffusers' IFPipeline; Show-1's pipelines hold the same code.
"""
import json
from pathlib import Path

import ftfy
from bs4 import BeautifulSoup
from diffusers import IFPipeline

OUT = Path(__file__).resolve().parent.parent / "models/text/fixtures/captions.json"

CAPTIONS = [
    "",
    "   ",
    "A panda eating bamboo on a rock.",
    "An astronaut riding a horse, 4K, highly detailed!",
    "Click on link to see http://www.example.com/path?q=1&r=2 now",
    "visit www.example.org/about-us or example.co/shop today",
    "see https://youtu.be/abc for a video, www:example thing",
    "mail me: someone@example.com please",
    "photo by @some_user and @Другой on the web",
    "<person> walks a dog with <person>",
    "<b>Bold</b> and <i>italic</i> text<br/>new line",
    "<a href=\"page.html\">a link</a> to the cat",
    "a < b and c > d, I <3 you",
    "unfinished <tag and more",
    "script: <script>alert('x')</script> done <style>p {}</style>end",
    "<!-- comment --> visible <!doctype html> text",
    "fish &amp; chips &lt;fresh&gt; &quot;today&quot;",
    "caf&eacute; &copy; 2020 &nbsp; &hellip; &#39;quoted&#39; &#x27;hex&#x27;",
    "AT&T and R&D, Q&A",
    "double &amp;amp; escaped &amp;lt;b&amp;gt;",
    "unknown &foo; entity &bar and &#xzz; &#; end",
    "caf%C3%A9 in paris%21 100%25 a+b+c %zz %e2%82",
    "一个红色的方块 a red square 向左移动",
    "日本語テキスト with text ㍿ ㈱ ㇰ ䷀ 㐀",
    "ハイキュー!! ありがとう",
    "dashes – — ― ‐ ‑ ‒ − ー 〜 ～ ⸺ end",
    "quotes “double” ‘single’ «guillemets» `back´ ¨",
    "it’s the dog’s “favourite” toy",
    "\"fully quoted caption\"",
    "'single quoted caption'",
    "\"\"\"AUSVERKAUFT\"\"\" ''now''",
    "wait... what.... is this..",
    "***SALE*** #SALE# @@ ~~~ [bracket] {curly} |pipe| back\\slash for/ward",
    "server at 192.168.0.1 and 10.0.0.255:8080",
    "article 4:20 ",
    "article 4:20   ",
    "line one\\nline two\\n\\nline three",
    "real\nnew\r\nlines\tand\ttabs",
    "#123 and #12345 and #1234 and 123456 and 12345",
    "file image.png and C:\\photo.JPG and /a/b/video.mp4 end",
    "a png image, jpg images and a jpeg file",
    "this-is-my-cute-cat and this_is_my_cute_dog",
    "one-two three-four",
    "jc6640 jc6640vc 6640vc231 j2d1a2a ab1 abcd1234",
    "Free shipping worldwide! worldwide free shipping, free download, download free",
    "click for details, click on this, just click here",
    "see page 12 of the book, page twelve",
    "poster 640x480 and 3.5 x 4 and 10×15 and 10х15cm",
    "title : subtitle :another: one",
    "commas,without,spaces and slashes/like/this, 1,000.50",
    "end with dash -",
    "_starts with underscore",
    ",starts with comma and ends with colon:",
    ".hidden",
    ".hidden file",
    "a . b . c",
    " leading and trailing   ",
    "ﬁne ﬂuffy ﬃ ligatures ĳsland",
    "ＦＵＬＬ　ＷＩＤＴＨ ｔｅｘｔ ﾊﾝｶｸ",
    "emoji 😀 👩‍👩‍👧‍👦 ❤️ and ™ ® © symbols",
    "½ cup of sugar, 30° outside, 5º floor",
    "schÃ¶n mÃ¼de naÃ¯ve",
    "itâ€™s a dogâ€”reallyâ€¦",
    "â€œquotedâ€\x9d",
    "SÃ£o Paulo and MÃ©xico",
    "control \x00\x01 chars \x7f\x80 here\x1b[31mred\x1b[0m",
    "zero\u200bwidth and \ufeffbom and soft\u00adhyphen",
    "nbsp\u00a0here thin\u2009space ideographic\u3000space",
    "combining cafe\u0301 and A\u030a",
    "Καλημέρα κόσμε ΣΊΣΥΦΟΣ",
    "Красный квадрат ДВИЖЕТСЯ влево",
    "İstanbul ISPARTA straße ẞ",
    "مرحبا بالعالم ١٢٣٤٥٦٧",
    "हिन्दी में १२३",
    "x" * 300,
    "very " * 60 + "long caption",
    "12 monkeys & 3 dogs (in a park) [hd] {2019}",
    "Royalty free stock footage - 1920x1080 HD #stock #video www.stock.com",
    "BERLIN, GERMANY - MAY 2015: Aerial view / time-lapse; 25fps",
    "Slow motion: man's hand -- close-up -- 120fps.",
    "\"I'm here,\" she said: 'yes'.",
    "100% cotton t-shirt $9.99 €8,50 £7",
    "http://",
    "a.b.c.com.net/foo-bar/ trailing",
    "not.a.domain but example.it and it.is.com!",
    "user:pass@example.com/path",
    "<![CDATA[raw text]]> outside",
    "<ruby>漢<rt>kan</rt></ruby> ruby",
    "<img src=\"a.png\" alt=\"a > b\">after image",
    "price&nbsp;list&mdash;new &NTILDE;",
    "&lt;script&gt;not a tag&lt;/script&gt;",
    "tail &",
    "tail &x",
    "tail &amp",
    "tail &copy",
    "#hashtag #another_tag #2fast",
    "smile :) :-( ;-) :D <-- arrow",
    "time 12:30 and ratio 16:9 and 3:45 ",
    "A'B\"C`D´E",
    "¿Qué? ¡Hola! mañana",
    "e=mc² and H₂O, x³",
    "tab\x0bvertical\x0cform\x1cfile\x85next\u2028line",
    "+plus+signs+ %2B %20 end+",
    "<b>unclosed <i>nested</b> text</i>",
    "</div>stray end tags</p >",
    "<p>para one</p><p>para two</p>",
    "a<br>b<hr>c",
    "[[wiki]] ((paren)) {{tmpl}}",
    "-_-_-_-",
    "'",
    "\"",
    "''",
    "\"a\" and \"b\"",
]

FIX_TEXT = [
    "schÃ¶n", "naÃ¯ve rÃ©sumÃ©", "itâ€™s", "â€œquotedâ€\x9d text", "wait â€¦ what", "a â€“ b â€” c", "âœ” No problems",
    "Ð¿Ñ€Ð¸Ð²ÐµÑ‚ Ð¼Ð¸Ñ€", "ã\x81\x82ã\x82\x8a", "ðŸ˜€ smile", "Â£5 Â©2020 Â®", "50Â°C", "SÃƒÂ£o Paulo", "â‚¬100",
    "MÃ¼nchen & KÃ¶ln", "El NiÃ±o", "caf\xc3\xa9", "Ã‰cole", "Ã€ la carte", "franÃ§ais", "plain ASCII text", "déjà vu",
    "MAÑANA", "Ñandú", "CAFÉ® and ÉCOLE»", "“IRMÃ” disse", "résumé…”", "à la française", "ÀÉÎÕÜ", "São Paulo",
    "Åse Ødegård", "Æ ß ð þ", "naïve café’s", "Ä“ö”ü", "5 € 10 ¢ 20 £", "x ± y × z ÷ w", "l’été – c’est «beau»",
    "ČSSR šťastný", "Łódź", "Ελληνικά", "Русский", "日本語", "한국어", "العربية",
    "c1 \x80\x93\x94\x85 controls", "\x93quoted\x94", "it\x92s",
    "ﬂubberiﬁc ŉ ǆ Ĳ", "ＬＯＵＤ　ＮＯＩＳＥＳ", "Ｕﾀｰﾝ ﾊﾟ ￦", "“curly” ‘single’ ʼn ‛x‟",
    "line\r\nbreak\rmac\u2028sep\u2029para\x85next", "\x1b[36;44mblue\x1b[0m", "a\x00b\x08c\x0bd\x0ce\x7ff",
    "\u206a\ufeff\ufff9\ufffc\u200b\u200d", "cafe\u0301", "&lt;tag&gt; &amp; &eacute; &EACUTE; &nTILDE; &hellip;",
    "&#39;x&#x2019; &#150; &#0; &#1; &#99999999;", "&notit; &foo; &amp no &copy2;", "<b>&amp;</b>\n&amp;", "&amp;\n<b>&amp;",
    "Broken text&hellip; it&#x2019;s ﬂubberiﬁc!", "&amp;amp;lt;", "a &AMP; b &COPY; &SZLIG;",
    "Ã", "Â", "Â ", "Ãa", "Ã©", "é", "É™", "Ö»", "ß®", "àâäæ", "ÃÂ", "â€", "â€™â€™", "Itâ€™s Jamesâ€™s",
    "ÂÃ", "â", "ä¸\xadæ–‡", "çŒ«", "í•œ", "ï¼Œ", "voilÃ  le travail", "voilÃ le travail", "Ã la carte", "fÃ cil", "Â Â x", "coÃ»te 5 â‚¬", "é² x² é€", "5Âº", "a â„¢ b", "Ø§Ù„Ø¹Ø±Ø¨ÙŠØ©", "×©×œ×•×", "Î•Î»Î»Î·Î½Î¹ÎºÎ¬", "Ä\x8deÅ¡tina", "ÅšwiÄ™ta",
]

HTML = [
    "a", "a < b", "a<b", "<3 you <b>x", "a<", "a</", "a<!", "a<!--", "a<!-- b", "a<!-- b -- >c", "a<?php x ?>b", "a<!x>b",
    "<ruby>x<rt>kan</rt>y</ruby>", "<ruby>x<rp>(</rp><rt>kan</ruby>z", "a<script>b<i>c</i></script>d", "a <style>b c",
    "<script src='x'/>d", "<template>q<b>w</b></template>z", "a  <b>  </b> \n <i>\n\n</i>b", "<p> \t </p>x",
    "&#1;&#150;&#x80;&#99999999;&#xd800;&#0;", "&foo; &amp;lt; &copy &copyx; &notit; &eacute", "&AMP; &Amp; &LT;",
    "x <![CDATA[hello <b>]]> y", "<![cdata[a]] >b", "<![if x]>a<![endif]>", "a &# b; <b>c</b> &# d; <b>e</b>",
    "a &#b <b>c</b>", "a <b &# c; <i>d</i>", "<a href=\"x>bar", "<a href='x\"y'>bar</a>", "<a b=c/>d</a>e",
    "<a b='x'c=\"y\" d>e", "</ >q</1>r</>s", "</a b>c", "</a", "a & b &", "a &x", "a &xy", "a&#65b;c", "a&#65;b&#66c",
    "<img src=x>t<br/>u</br>v", "<rt/>x", "<rt>a<b>c</rt>d", "<b>&amp;</b>&lt;i&gt;", "<B CLASS=X>up</B>",
    "<a\nhref='x'\n>y</a>", "<a/b/c>x", "<a =b>x", "<a b==c>x", "<a 'b'>x", "<a\"b\">x", "1<2>3", "<é>x", "<a é='1'>x",
    "&eacute;&Eacute;&nbsp;&ThickSpace;&NotEqualTilde;", "&alpha.beta; &a-b;", "&&amp;&", "&;", "& ;", "&#;", "&#x;",
]


def main() -> None:
    pipe = object.__new__(IFPipeline)  # its text methods need nothing of the pipeline

    def clean(text):
        return pipe._clean_caption(text)

    golden = {
        "captions": [
            [
                text,
                clean(text),
                pipe._text_preprocessing(text, clean_caption=True)[0],
                pipe._text_preprocessing(text, clean_caption=False)[0],
            ]
            for text in CAPTIONS
        ],
        "fixText": [[text, ftfy.fix_text(text)] for text in FIX_TEXT],
        "html": [[text, BeautifulSoup(text, features="html.parser").text] for text in HTML],
    }
    for kind, cases in golden.items():
        print(kind, len(cases))
    OUT.write_text(json.dumps(golden, indent=0) + "\n")


main()
