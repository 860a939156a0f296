"""Size and SHA-256 of the files of SIGMORPHON 2020 task 1, unpacked: `task1/data` of github.com/sigmorphon/2020.

Commit 3d9bb36. Each training file has 3,600 words, each other one 450.
"""

from __future__ import annotations

from seq2seq_lightning.data.tasks.known_files import Known

FILES: dict[str, Known] = {
    "ady_dev.tsv": Known(14_298, "3a540e30adf286a226ab9faea9b0b08cf0726e8549cdbe8414ae1028a7f1f14f"),
    "arm_dev.tsv": Known(15_533, "13ac315cb0025b243455ec44b5c68a9b6b888071f85028a4b64f749fd6996bcf"),
    "bul_dev.tsv": Known(16_134, "813ac9f3983ad80538ea9aca5d4cc3cfe6308a27cc63076564c043f2650ae62c"),
    "dut_dev.tsv": Known(12_938, "bb86ff20577e0c9706ce3aa88d2ea5963032212bc92facef251ba435f3eb791f"),
    "fre_dev.tsv": Known(9_925, "eb2b3fb761b02591a93981c448c6c7972da0499fd0fb1d7a0b60142463f6b355"),
    "geo_dev.tsv": Known(19_203, "2f0b707103648fb09c04084a8f60a1307cf14b4bfd5d5892664ba32920604e59"),
    "gre_dev.tsv": Known(15_616, "bac8a18261aa39e125db95423cc33dfaa60683d72eb2b0bb933f2f66b913c7a9"),
    "hin_dev.tsv": Known(16_618, "51807c402408a8da95fde02b9f9af35a39715ff0e31020f5fa95937962fa66a1"),
    "hun_dev.tsv": Known(12_575, "a77a59974f54d218e8c8cf2d38c5db5ee33fac4767e842d3cc0b9bad42cf7032"),
    "ice_dev.tsv": Known(10_926, "5054f1051521f83acf137e918445052cc8702937131a7f7dac7b2b7dad6f78e4"),
    "jpn_dev.tsv": Known(17_017, "ae61d965b012ae24cbf05d5bb7bf2c2fc721b9428c57828082e9d089a5020d79"),
    "kor_dev.tsv": Known(12_854, "0bf3b0676254dde2f087283f39f4a2f0ef2377000d0317be9c4b6cc8ef9ea23e"),
    "lit_dev.tsv": Known(17_453, "0dba9ff447458eb6a5e5275d44f33cb98218cb59c5f86984e1c9c86744eb334c"),
    "rum_dev.tsv": Known(11_516, "3169f34527ae54fe1bf4f0aaf3ac5dde71ba0eee31e40d4ff15e4e64a58675a9"),
    "vie_dev.tsv": Known(17_915, "6d9f94f8f8229876bd029b4db9b42654d31f834bb096279108547a98319cb510"),
    "ady_test.tsv": Known(14_553, "f873313ebf8afc63b55b8a2421225c4981b8556b88c6090bad7f8e362587aa59"),
    "arm_test.tsv": Known(15_271, "9957ae5d42f94fa9ae5ffe1737e75efe878b57034f3c40e68b4098f0654e82c4"),
    "bul_test.tsv": Known(15_715, "4e05ff7a239bda2ca83e6d167ce1497855f77c94a153892bbe1c9698346a6810"),
    "dut_test.tsv": Known(12_846, "f84dde7d2af37aabbb492bf8862be1e69bbe2b95e16728452775fd902cf94197"),
    "fre_test.tsv": Known(9_919, "cd75ca22c697f93e23d10898a87a86e1bc08d0d4eb318946f28e085cd1aca9a8"),
    "geo_test.tsv": Known(19_818, "f5d2c616ae5800bb958cc03965179c588176356668e7b018fff21a9135f9a588"),
    "gre_test.tsv": Known(14_904, "a10265ed5370a687f2bc840d5ac7338c53b36b044d71e2bcfa0b359094f9fd2f"),
    "hin_test.tsv": Known(16_625, "027a4a65f3674c2fff19e1c6d28081c78bedc9d7858284143fb188c487c4e9ef"),
    "hun_test.tsv": Known(12_135, "314ebe4289c3aad2161e6bf93a684219541365d59771c98fb6fa81192482c6ce"),
    "ice_test.tsv": Known(10_722, "1da20f2fd807b797a6c5b6388e34253d8f874fa359435566632c3a058c80f56c"),
    "jpn_test.tsv": Known(16_798, "78a5997238663d18267acbffa5a0fe8bcb245e7497b30c663e896a4b28e9a84f"),
    "kor_test.tsv": Known(13_234, "65792f869e6426358b143aac664d14af6967f088513d1c34eff3ecbc6555024e"),
    "lit_test.tsv": Known(17_234, "a3daf8074296edcf6895828234e459e31a3f7cb654dd5354ba272dec74ef6332"),
    "rum_test.tsv": Known(11_565, "6327880174d182d997cd47cd810b8a7e428c2a6349195c5e12c0b628ac6abb20"),
    "vie_test.tsv": Known(17_498, "b53eb1e6e7320395e8722b789d5f0bafdaa17c2484a61f5e952259c8f96c111a"),
    "ady_train.tsv": Known(116_737, "8ab54e92ecf5245ea2ed9a5677df890a3917372fb928e44c1df9b954ffe3c010"),
    "arm_train.tsv": Known(119_328, "881b301408460b84443a768b697c7c1e5895994b6157daa3752a4078e088253b"),
    "bul_train.tsv": Known(127_319, "726c92b03b5f6e8d414d407141cb82a4782fdac7ef9c7bd3be3c91a5a650bb1f"),
    "dut_train.tsv": Known(106_671, "ee825c27cf5cc82a097819bdd6ae50900e449e49504fa3c1d06b318301ef28aa"),
    "fre_train.tsv": Known(79_465, "fcc1c1c19a19381105662b412e8de1a143802da40fb401dd3cc452bc935128a6"),
    "geo_train.tsv": Known(158_326, "5a9d9cadc41e6c514be51eb257f7005dea67f8a528db3f839cd9bc8f9799caf5"),
    "gre_train.tsv": Known(122_366, "acc3450422d1d44e5d596d6b5092919ebf5e0f8a26ddde4ccac7aa9dec1e0996"),
    "hin_train.tsv": Known(129_481, "74c5359152b21349bafafdc280b9f7ac1a8391056111f7442b3fed04c2a5251b"),
    "hun_train.tsv": Known(97_797, "e729f49b9b232848ee5bb98afeae2e236f1ec7d0e89d43cf930a9526ad1b9e1e"),
    "ice_train.tsv": Known(86_103, "d3729c6306c6b20b873b1b8e94bc1fa3b70dce7f8c2e0179ad3a434c8803f2ef"),
    "jpn_train.tsv": Known(136_351, "5a8adf93f79799b89ba1af4805caa482383dbd62365cca18d5ef5dd993b0c3ac"),
    "kor_train.tsv": Known(103_374, "c0e509d5c604df2bb0d899fec7825985e2d48f6cbb7238b1cde5ab408716071f"),
    "lit_train.tsv": Known(140_597, "0b2a516fd0832654ae8fba3037635a66cc3ad864e61139323bad009a2de4cb14"),
    "rum_train.tsv": Known(96_090, "aac7c0bebd664e9f313bd444e6c4be56fb002b45d3054a75f0c1900dcb8f64f7"),
    "vie_train.tsv": Known(137_420, "541f4b51c14305580a5766158a76e299836646eafcbfb2ed9b5e7e50ae3fa7e6"),
}
