// The schemas of our own operators. They join ATen's in PyTorch's dispatcher and are called like any other.
#include <torch/library.h>

TORCH_LIBRARY(search_r1, library) {
  library.def("rms_norm(Tensor x, Tensor weight, float eps) -> Tensor");
  library.def("rms_norm_grad(Tensor x, Tensor weight, Tensor dy, float eps) -> (Tensor, Tensor)");
  library.def("rope(Tensor x, Tensor positions, Tensor cos, Tensor sin, bool inverse) -> Tensor");
  library.def("swiglu(Tensor gate, Tensor up) -> Tensor");
  library.def("swiglu_grad(Tensor gate, Tensor up, Tensor dy) -> (Tensor, Tensor)");
  library.def("attention(Tensor q, Tensor k, Tensor v, int[] cu_seqlens, float scale) -> (Tensor, Tensor)");
  library.def("attention_grad(Tensor q, Tensor k, Tensor v, Tensor out, Tensor lse, Tensor dout, int[] cu_seqlens, float scale) -> (Tensor, Tensor, Tensor)");
  library.def("paged_attention(Tensor q, Tensor k_pool, Tensor v_pool, Tensor block_table, Tensor token_seq, Tensor token_pos, float scale) -> Tensor");
  library.def("kv_append(Tensor(a!) k_pool, Tensor(b!) v_pool, Tensor k, Tensor v, Tensor slots) -> ()");
  library.def("log_prob(Tensor logits, Tensor targets, float inverse_temperature) -> (Tensor, Tensor, Tensor)");
  library.def("log_prob_grad(Tensor logits, Tensor targets, Tensor lse, Tensor entropy, Tensor d_log_prob, Tensor d_entropy, float inverse_temperature, ScalarType dtype) -> Tensor");
  library.def("embedding_grad(Tensor ids, Tensor dy, int vocabulary) -> Tensor");
  library.def("adamw_(Tensor(a!) param, Tensor(b!)? low, Tensor(c!) m, Tensor(d!) v, Tensor grad, float lr, float beta1, float beta2, float eps, float weight_decay, int step, float grad_scale) -> ()");
  library.def("sum_squares(Tensor x) -> Tensor");
  library.def("sample(Tensor logits, Tensor temperature, Tensor top_k, Tensor top_p, Tensor uniform) -> (Tensor, Tensor, Tensor)");
}
