"""Square loss with one norm on top of unit directions: Poggio, Liao (2020-21), Xu, Rangamani, Liao et al. (2022-23),
Rangamani, Banburski-Fahey (2022).
"""
