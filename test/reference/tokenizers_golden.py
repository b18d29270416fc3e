"""
Small tokenizers of the kinds that Show-1 needs, and the ids that Python gives for difficult texts.

    pip install transformers==4.29.1 sentencepiece tokenizers protobuf ftfy
    python test/reference/tokenizers_golden.py

writes test/models/text/fixtures/: t5/spiece.model.gz (Unigram, nmt_nfkc, special ids as T5's), bytes/spiece.model.gz
(identity normalisation, byte fallback, user-defined symbols), clip/{vocab.json,merges.txt} (byte-level BPE in CLIP's
order of ids) and golden.json: texts, and for each tokenizer the ids of every text. T5 and CLIP ids come from
transformers' slow tokenizers; CLIP three times: with ftfy, without it, and from the fast tokenizer.
"""
import gzip
import io
import itertools
import json
import sys
import tempfile
from pathlib import Path

import sentencepiece as spm
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTokenizer, CLIPTokenizerFast, T5Tokenizer
from transformers.models.clip.tokenization_clip import BasicTokenizer, bytes_to_unicode

OUT = Path(__file__).resolve().parent.parent / "models/text/fixtures"

SUBJECTS = "a cat|two dogs|the old sailor|a close-up of a woman|fireworks|an astronaut|3 red balloons|it's a child".split("|")
VERBS = "runs|is playing the guitar|dances slowly|swims|doesn't move|looks at the camera|walks 120 steps".split("|")
PLACES = "on the beach at sunset|in a café|under water|in the snow, 4k|near São Paulo|through New York|at home!".split("|")
CORPUS = [" ".join(parts) for parts in itertools.product(SUBJECTS, VERBS, PLACES)] + [
    "Ein Fuß läuft über die Straße.",
    "Красный квадрат движется влево.",
    "一个红色的方块向左移动",
    "東京タワーの夜景",
    "İstanbul'da güneş batıyor",
    "naïve résumé, jalapeño & crème brûlée",
    "A B C D E F G H I J K L M N O P Q R S T U V W X Y Z ( ) [ ] # @ % & * + = / : ; ? ! < > _ - ' \" . ,",
    "0 1 2 3 4 5 6 7 8 9 2023 1080p 60fps 16:9",
] * 20

TEXTS = [
    "",
    " ",
    "a",
    "a cat runs on the beach at sunset",
    "A CAT Runs On The Beach",
    "  leading and   multiple   spaces  ",
    "tabs\tand\nnewlines\r\nand\x0bvertical\x0cform\x85next",
    "it's a child, doesn't move; we're, they've, I'm, you'll, he'd",
    "IT'S A CHILD, DOESN'T MOVE; WE'RE, THEY'VE, I'M",
    "it’s a “curly” ‘quote’ — dash – en…",
    "3 red balloons, 1080p 60fps, 16:9, 2023-11-24, 1,234.5",
    "１２３ ＡＢＣ　ｆｕｌｌ　ｗｉｄｔｈ",
    "ﬁne ﬂuﬀy ﬃ ligatures ĳ ǆ",
    "½ cup, x² + y³ = ①②, ℃ ㎏ ㍿ ™ ℡",
    "café naïve résumé",
    "cafe\u0301 nai\u0308ve re\u0301sume\u0301",
    "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘!",
    "emoji 😀 👩‍👩‍👧‍👦 🇩🇪 ❤️ 👍🏽",
    "😀😀😀",
    "一个红色的方块向左移动",
    "東京タワーの夜景 ﾊﾝｶｸ ｶﾞｷﾞ",
    "서울의 밤 \u1112\u1161\u11ab",
    "Красный квадрат ДВИЖЕТСЯ влево",
    "Ὀδυσσεὺς ΣΊΣΥΦΟΣ ς",
    "İstanbul'da güneş ISPARTA ı",
    "مرحبا بالعالم שלום עולם",
    "हिन्दी में क्षत्रिय",
    "ภาษาไทย",
    "control \x00\x01\x02\x1f\x7f\x80\x9f chars",
    "zero\u200bwidth\u200cjoin\u200der\ufeffbom\u00adsoft\u2060word",
    "nbsp\u00a0thin\u2009ideographic\u3000line\u2028para\u2029narrow\u202fend",
    "▁literal▁marks▁ ▁",
    "▁",
    "\u2581\u2581 \u2581",
    "�replacement￼object",
    "<pad> in </s> the <unk> text",
    "a cat</s>",
    "</s>",
    "<extra_id_0> runs <extra_id_1>on<extra_id_99> the beach <extra_id_100>",
    "<extra_id_10><extra_id_1> <EXTRA_ID_1>",
    "<|startoftext|>a cat<|endoftext|>",
    "<|STARTOFTEXT|> a cat <|EndOfText|> runs",
    "wow! a cat!! !!! a ! b",
    "<|endoftext|><|endoftext|>",
    "<person> holds a <b>cat</b> &amp; a dog &lt;3 &eacute;",
    "fish &amp; chips &quot;fresh&quot; &#39;now&#39;",
    "http://example.com/a?b=c&d=e#f @handle #tag",
    "snake_case-and-kebab.case/path\\back",
    "....,,,,;;;;::::????!!!!",
    "((([[[{{{<<<>>>}}}]]])))",
    "don''t 'quoted' 's't're",
    "ſ long 'ſ s ẞ ß ŉ",
    "x" * 60,
    "a" * 37 + "b" * 23,
    "runs" * 30,
    " ".join(["a cat runs on the beach"] * 40),
    "pneumonoultramicroscopicsilicovolcanoconiosis",
    "Ⅷ ⅷ ªº ǅ ʰ ͅ ⓐ",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟙𝟚𝟛 𝓬𝓪𝓽",
    "\U000e0041 tag \U0010ffff end \ufffe",
    "schÃ¶n â€œmojibakeâ€\x9d naÃ¯ve",
    "e\u0301\u0302\u0303 \u0301 alone",
    "a\u0338 =\u0338 ≠ Å Å Å",
    "Ａ\u0301 ㍍ﾟ",
    "  ",
    "\n",
    "\u3000",
    "\t a \t",
    "Hello,world!How are you?I'm fine.",
    "The quick brown fox's 2nd jump @ 12:30PM (UTC+1) costs $9.99 / €8,50 — 50% off!",
    "<0x41> bytes <0xFF>",
    "user<sep>defined <sep> <ctrl> [MASK]",
]


def zipped(path: Path) -> None:
    data = path.read_bytes()
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=9, mtime=0) as f:
        f.write(data)
    path.with_suffix(".model.gz").write_bytes(buffer.getvalue())


def train_sentencepiece(folder: Path, **options) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as tmp:
        text = Path(tmp) / "corpus.txt"
        text.write_text("\n".join(CORPUS), encoding="utf-8")
        spm.SentencePieceTrainer.train(
            input=str(text), model_prefix=f"{tmp}/spiece", hard_vocab_limit=False, num_threads=1,
            minloglevel=2, **options,
        )
        model = Path(tmp) / "spiece.model"
        kept = folder / "spiece.model"
        kept.write_bytes(model.read_bytes())
    zipped(kept)
    return kept


def train_clip(folder: Path, size: int) -> None:
    """Byte-level BPE; ids in CLIP's order: bytes, bytes that end a word, merges, the two special tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    trained = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    trained.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    trainer = trainers.BpeTrainer(vocab_size=size, end_of_word_suffix="</w>", initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    trained.train_from_iterator([line.lower() for line in CORPUS], trainer)
    merges = [m if isinstance(m, str) else " ".join(m) for m in json.loads(trained.to_str())["model"]["merges"]]
    alphabet = list(bytes_to_unicode().values())
    vocab = alphabet + [c + "</w>" for c in alphabet]
    for merge in merges:
        token = merge.replace(" ", "")
        if token not in vocab:
            vocab.append(token)
    vocab += ["<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(vocab)}, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")


def padded(tokenizer, texts, length):
    return tokenizer(texts, padding="max_length", truncation=True, max_length=length).input_ids


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    t5_file = train_sentencepiece(
        OUT / "t5", vocab_size=500, normalization_rule_name="nmt_nfkc", pad_id=0, eos_id=1, unk_id=2, bos_id=-1,
        character_coverage=0.999,
    )
    bytes_file = train_sentencepiece(
        OUT / "bytes", vocab_size=700, normalization_rule_name="identity", byte_fallback=True,
        user_defined_symbols=["<sep>", "4k", "[MASK]"], control_symbols=["<ctrl>"], remove_extra_whitespaces=False,
        add_dummy_prefix=False,
    )
    train_clip(OUT / "clip", 700)

    t5 = T5Tokenizer.from_pretrained(str(OUT / "t5"))  # so that special tokens are found in texts
    lengths = [2, 5, 16]
    plain = spm.SentencePieceProcessor(model_file=str(bytes_file))
    golden = {
        "texts": TEXTS,
        "t5": {
            "ids": [t5(text).input_ids for text in TEXTS],
            "vocabSize": len(t5),
            "padded": {str(n): padded(t5, TEXTS, n) for n in lengths},
        },
        "bytes": {"ids": [plain.encode(text) for text in TEXTS]},
        "clip": {},
    }

    # SD 1.x pads with the end token; SD 2.x (and zeroscope) with "!", which is then a special token in texts as well.
    clip_folder = str(OUT / "clip")
    for name, pad in [("end", "<|endoftext|>"), ("bang", "!")]:
        slow = CLIPTokenizer.from_pretrained(clip_folder, pad_token=pad)
        if slow.fix_text is None:
            sys.exit("ftfy is not installed")
        entry = {"padId": slow.pad_token_id, "ftfy": [slow(text).input_ids for text in TEXTS]}
        entry["padded"] = {str(n): padded(slow, TEXTS, n) for n in lengths if n > 2}
        slow.fix_text, slow.nlp = None, BasicTokenizer(do_lower_case=True)
        entry["basic"] = [slow(text).input_ids for text in TEXTS]
        fast = CLIPTokenizerFast.from_pretrained(clip_folder, pad_token=pad)
        entry["fast"] = [fast(text).input_ids for text in TEXTS]
        golden["clip"][name] = entry
    (OUT / "golden.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    for model in (t5_file, bytes_file):
        model.unlink()


main()
