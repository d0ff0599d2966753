"""Holds the publications that texts of this package cite as `Isola et al. 2017`, for lists of references."""

from __future__ import annotations

REFERENCES = {  # as it is cited -> the publication
    "Binkowski et al. 2018": "M. Bińkowski, D. J. Sutherland, M. Arbel, A. Gretton. Demystifying MMD GANs. ICLR, 2018.",
    "Bland & Altman 1986": "J. M. Bland, D. G. Altman. Statistical methods for assessing agreement between two methods "
    "of clinical measurement. The Lancet 327 (8476), 307–310, 1986.",
    "Carlini et al. 2023": "N. Carlini, J. Hayes, M. Nasr, M. Jagielski, V. Sehwag, F. Tramèr, B. Balle, D. Ippolito, "
    "E. Wallace. Extracting training data from diffusion models. USENIX Security, 2023.",
    "Chamandy et al. 2012": "N. Chamandy, O. Muralidharan, A. Najmi, S. Naidu. Estimating uncertainty for massive data "
    "streams. Google, 2012.",
    "Heusel et al. 2017": "M. Heusel, H. Ramsauer, T. Unterthiner, B. Nessler, S. Hochreiter. GANs trained by a two "
    "time-scale update rule converge to a local Nash equilibrium. NeurIPS, 2017.",
    "Isola et al. 2017": "P. Isola, J.-Y. Zhu, T. Zhou, A. A. Efros. Image-to-image translation with conditional "
    "adversarial networks. CVPR, 2017.",
    "Johnson et al. 2016": "J. Johnson, A. Alahi, L. Fei-Fei. Perceptual losses for real-time style transfer and "
    "super-resolution. ECCV, 2016.",
    "Karras et al. 2018": "T. Karras, T. Aila, S. Laine, J. Lehtinen. Progressive growing of GANs for improved "
    "quality, stability, and variation. ICLR, 2018.",
    "Kingma & Ba 2015": "D. P. Kingma, J. Ba. Adam: A method for stochastic optimization. ICLR, 2015.",
    "Lim & Ye 2017": "J. H. Lim, J. C. Ye. Geometric GAN. arXiv:1705.02894, 2017.",
    "Liu et al. 2022": "S. Liu, C. Zhu, F. Xu, X. Jia, Z. Shi, M. Jin. BCI: Breast cancer immunohistochemical image "
    "generation through pyramid pix2pix. CVPR Workshops, 2022.",
    "Long et al. 2015": "J. Long, E. Shelhamer, T. Darrell. Fully convolutional networks for semantic segmentation. "
    "CVPR, 2015.",
    "Mao et al. 2017": "X. Mao, Q. Li, H. Xie, R. Y. K. Lau, Z. Wang, S. P. Smolley. Least squares generative "
    "adversarial networks. ICCV, 2017.",
    "Mao et al. 2019": "Q. Mao, H.-Y. Lee, H.-Y. Tseng, S. Ma, M.-H. Yang. Mode seeking generative adversarial "
    "networks for diverse image synthesis. CVPR, 2019.",
    "Richardson & Weiss 2018": "E. Richardson, Y. Weiss. On GANs and GMMs. NeurIPS, 2018.",
    "Wang et al. 2003": "Z. Wang, E. P. Simoncelli, A. C. Bovik. Multiscale structural similarity for image quality "
    "assessment. Asilomar Conference on Signals, Systems and Computers, 2003.",
    "Wang et al. 2004": "Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli. Image quality assessment: From error "
    "visibility to structural similarity. IEEE Transactions on Image Processing 13 (4), 600–612, 2004.",
    "Wang et al. 2018": "T.-C. Wang, M.-Y. Liu, J.-Y. Zhu, A. Tao, J. Kautz, B. Catanzaro. High-resolution image "
    "synthesis and semantic manipulation with conditional GANs. CVPR, 2018.",
    "Yang et al. 2019": "D. Yang, S. Hong, Y. Jang, T. Zhao, H. Lee. Diversity-sensitive conditional generative "
    "adversarial networks. ICLR, 2019.",
    "Zhu et al. 2017": "J.-Y. Zhu, R. Zhang, D. Pathak, T. Darrell, A. A. Efros, O. Wang, E. Shechtman. Toward "
    "multimodal image-to-image translation. NeurIPS, 2017.",
}


def cited(text: str) -> list[str]:
    """Returns the publications that a text cites, in the order of their authors."""
    return [publication for key, publication in REFERENCES.items() if key in text]
