"""Small vision-language models with random weights, and one that was trained to need a word and a corner together."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

QUESTION = "is the bright corner"
WORDS = [*QUESTION.split(), "of", "this", "picture", "white", "or", "black", "what", "colour", "has", "it"]
TEMPLATE = (
    "{% for m in messages %}{% for c in m['content'] %}{% if c['type'] == 'image' %}IMAGE {% else %}{{ c['text'] }}"
    "{% endif %}{% endfor %}{% endfor %}{% if add_generation_prompt %} answer{% endif %}"
)
SIZE = 32
KEY, WORD = 0, 2  # the corner and the word that the planted answer needs


def tokenizer(special: list[str]) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    names = ["<pad>", "<unk>", "<end>", *special, "answer", "yes", "no", *WORDS]
    backend = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token="<unk>",
        pad_token="<pad>",
        eos_token="<end>",
        additional_special_tokens=special,
    )


def picture(seed: int = 0) -> np.ndarray:
    """(32, 32, 3): grey corners with noise, the first one white."""
    pixels = np.random.default_rng(seed).integers(90, 160, (SIZE, SIZE, 3)).astype(np.uint8)
    pixels[: SIZE // 2, : SIZE // 2] = 255
    return pixels


def _text(size: int) -> dict[str, Any]:
    return {
        "vocab_size": size,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "pad_token_id": 0,
        "bos_token_id": None,
        "eos_token_id": 2,
    }


def llava(seed: int = 0) -> tuple[Any, Any]:
    import torch
    import transformers as t
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    words = tokenizer(["<image>"])
    images = CLIPImageProcessorPil(size={"shortest_edge": SIZE}, crop_size={"height": SIZE, "width": SIZE})
    processor = t.LlavaProcessor(
        images,
        words,
        patch_size=16,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE.replace("IMAGE", "<image>"),
    )
    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = t.LlavaConfig(
        vision_config=t.CLIPVisionConfig(**vision, image_size=SIZE, patch_size=16, projection_dim=32),
        text_config=t.LlamaConfig(**_text(len(words))),
        image_token_id=words.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
    )
    torch.manual_seed(seed)
    return t.LlavaForConditionalGeneration(config).eval(), processor


def qwen() -> tuple[Any, Any]:
    import torch
    import transformers as t
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    class WithoutVideos(t.Qwen2VLProcessor):
        """Its video half needs torchvision."""

        def check_argument_for_proper_class(self, *_: Any) -> None:
            return None

    special = ["<|image_pad|>", "<|vision_start|>", "<|vision_end|>", "<|video_pad|>"]
    words = tokenizer(special)
    words.image_token = special[0]
    images = Qwen2VLImageProcessorPil(patch_size=8, merge_size=2, min_pixels=256, max_pixels=SIZE * SIZE)
    template = TEMPLATE.replace("IMAGE", f"{special[1]} {special[0]} {special[2]}")
    processor = WithoutVideos(images, words, video_processor=None, chat_template=template)
    places = dict(
        zip(
            ("image_token_id", "vision_start_token_id", "vision_end_token_id", "video_token_id"),
            words.convert_tokens_to_ids(special),
            strict=True,
        )
    )
    rope = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0}
    config = t.Qwen2VLConfig(
        vision_config={"embed_dim": 32, "depth": 2, "num_heads": 2, "hidden_size": 32, "patch_size": 8, "mlp_ratio": 2},
        text_config=_text(len(words)) | {"rope_parameters": rope},
        **places,
    )
    torch.manual_seed(0)
    return t.Qwen2VLForConditionalGeneration(config).eval(), processor


def smolvlm() -> tuple[Any, Any]:
    import torch
    import transformers as t
    from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

    special = ["<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>"]
    words = tokenizer(special)
    words.image_token, words.fake_image_token, words.global_image_token = special[:3]
    edge = {"longest_edge": SIZE}
    images = Idefics3ImageProcessorPil(size=edge, max_image_size=edge, do_image_splitting=False)
    # SmolVLM's own asks for num2words, for videos; this is the one it was made from.
    processor = t.Idefics3Processor(images, words, image_seq_len=4, chat_template=TEMPLATE.replace("IMAGE", "<image>"))
    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = t.SmolVLMConfig(
        vision_config=vision | {"image_size": SIZE, "patch_size": 8},
        text_config=t.LlamaConfig(**_text(len(words))),
        image_token_id=words.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=0,
    )
    torch.manual_seed(0)
    return t.SmolVLMForConditionalGeneration(config).eval(), processor


def planted(game_inputs: Any, masks: np.ndarray, steps: int = 150) -> tuple[Any, Any]:
    """The LLaVA trained to say yes with .9 where the key corner and the word are there, else with .1."""
    import torch

    from interplay.models import VisionLM
    from interplay.models._vision import _alike, _longer

    model, processor = llava()
    lm = VisionLM(model, processor)
    wanted = torch.tensor(np.where(masks[:, KEY] & masks[:, 4 + WORD], 0.9, 0.1), dtype=torch.float32)
    rows = [_longer(lm._read(one), [])[0] for one in game_inputs]
    batches = []
    for group in _alike(rows):
        inputs = {name: torch.cat([rows[i][name] for i in group]) for name in rows[0]}
        batches.append((inputs, wanted[group]))
    yes, no = processor.tokenizer.convert_tokens_to_ids(["yes", "no"])
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=steps)
    for _ in range(steps):
        optimizer.zero_grad()
        for inputs, chance in batches:
            said = model(**inputs).logits[:, -1].log_softmax(-1)
            loss = -(chance * said[:, yes] + (1 - chance) * said[:, no]).sum() / len(rows)
            loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval(), processor


EVERY = np.array(list(itertools.product([False, True], repeat=8)))
