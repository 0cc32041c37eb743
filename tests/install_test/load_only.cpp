// Serves a model from a file. No layer is named here: the library must bring them all by itself.
#include <braid/braid.hpp>
#include <cstdio>
#include <vector>
using namespace braid;

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  Model model = Model::load(argv[1]);
  TensorDict p = model.predict({{"text", Tensor::from(std::vector<float>(100, 0.1F), {1, 100})},
                                {"numeric", Tensor::from(std::vector<float>(5, 1.0F), {1, 5})}});
  std::vector<float> scores = p["label"].to_vector<float>();
  std::printf("score %.4f\n", static_cast<double>(scores[0]));
  return scores.size() == 1 ? 0 : 1;
}
