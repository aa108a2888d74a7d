// Functions whose built-in forms are missing, overflow or lose digits; exp and / are as exact as everywhere else.

// x Phi(x) by its tanh form, x / (1 + exp(-2 u)), u = sqrt(2 / pi) (x + 0.044715 x^3): no tanh that could overflow.
float gelu(float x) {
    precise float cube = x * x * x;
    precise float twice_u = 1.5957691216057308 * (x + 0.044715 * cube);
    precise float result = x / (1.0 + exp(-twice_u));
    return result;
}

// x Phi(x) = x / 2 (1 + erf(x / sqrt 2)). Source of erf, within 1.5e-7: Abramowitz and Stegun, 7.1.26.
float gelu_exact(float x) {
    precise float z = abs(x) * 0.7071067811865476;
    precise float t = 1.0 / (1.0 + 0.3275911 * z);
    precise float sum = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    precise float half_tail = 0.5 * sum * exp(-z * z);  // (1 - erf(z)) / 2
    precise float result = x * (x < 0.0 ? half_tail : 1.0 - half_tail);
    return result;
}

// cap tanh(x / cap). Near 0 by Lambert's continued fraction, since 1 - 2 / (1 + exp(2 z)) cancels there.
float soft_cap(float x, float cap) {
    precise float z = x / cap;
    precise float z2 = z * z;
    precise float near = z / (1.0 + z2 / (3.0 + z2 / (5.0 + z2 / (7.0 + z2 / 9.0))));
    precise float far = 1.0 - 2.0 / (1.0 + exp(2.0 * abs(z)));
    precise float result = cap * (abs(z) < 0.5 ? near : (z < 0.0 ? -far : far));
    return result;
}
