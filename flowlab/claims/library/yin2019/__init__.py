"""Yin, Lyu, Zhang, Osher, Qi, Xin, "Understanding straight-through estimator in training activation quantized neural
nets" (ICLR 2019), and Yin et al., "Blended coarse gradient descent for full quantization of deep neural networks"
(2018); figures on CIFAR and ImageNet need the data and are left out.
"""
