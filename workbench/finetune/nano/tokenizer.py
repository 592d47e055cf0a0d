"""csm-nano's text: one token a character, in files that stock ``CsmProcessor`` loads."""

from __future__ import annotations

from typing import Any

from workbench.finetune.nano.codec import codec_config

PAD, BEGIN, END, AUDIO, AUDIO_END = range(5)
SPECIALS = ("<|pad|>", "<|begin_of_text|>", "<|end_of_text|>", "<|AUDIO|>", "<|audio_eos|>")
SPEAKERS = tuple(f"[{speaker}]" for speaker in range(10))
CHARACTERS = " ,'abcdefghijklmnopqrstuvwxyz"
TEXT_VOCABULARY = 48  # the tokens above, with a few to spare
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
# As CSM-1B's: each turn is a text and, where it was heard, its audio.
CHAT_TEMPLATE = (
    "{% for m in messages %}<|begin_of_text|>[{{ m['role'] }}]{% for c in m['content'] %}"
    "{% if c['type'] == 'text' %}{{ c['text'] }}<|end_of_text|>{% endif %}"
    "{% if c['type'] == 'audio' %}<|AUDIO|><|audio_eos|>{% endif %}{% endfor %}{% endfor %}"
)


def build_tokenizer() -> Any:
    """The tokenizer: lower case, digits as words, any pause sign as a comma, the rest dropped."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
    from tokenizers.models import WordLevel
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    words = (*SPECIALS, *SPEAKERS, *CHARACTERS)
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token=" "))
    replace = normalizers.Replace
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFKD(),
            normalizers.StripAccents(),
            normalizers.Lowercase(),
            replace(Regex("[’‘`]"), "'"),
            *(replace(str(digit), f" {word} ") for digit, word in enumerate(_DIGITS)),
            replace("&", " and "),
            replace(Regex("[.!?;:…—–]"), ","),
            replace(Regex("[^a-z', ]"), " "),
            replace(Regex("[ ,]*,[ ,]*"), ", "),
            replace(Regex(" +"), " "),
            replace(Regex("^[ ,]+|[ ,]+$"), ""),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.post_processor = TemplateProcessing(
        single=f"{SPECIALS[BEGIN]} $A {SPECIALS[END]}",
        special_tokens=[(SPECIALS[BEGIN], BEGIN), (SPECIALS[END], END)],
    )
    tokenizer.add_special_tokens(
        [AddedToken(word, special=True, normalized=False) for word in (*SPECIALS, *SPEAKERS)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=SPECIALS[BEGIN],
        eos_token=SPECIALS[END],
        pad_token=SPECIALS[PAD],
        extra_special_tokens=[SPECIALS[AUDIO], SPECIALS[AUDIO_END]],
        clean_up_tokenization_spaces=False,
    )


def build_processor() -> Any:
    """``CsmProcessor`` with this tokenizer."""
    from transformers import CsmProcessor, EncodecFeatureExtractor

    rate_hz = codec_config().sampling_rate
    extractor = EncodecFeatureExtractor(feature_size=1, sampling_rate=rate_hz)
    return CsmProcessor(extractor, build_tokenizer(), chat_template=CHAT_TEMPLATE)
